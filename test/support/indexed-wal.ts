import type { LineagePlace } from '../../src/protect/wal/index.ts';
import { joinSegment } from '../../src/protect/wal/receiver/join-segment.ts';
import { SegmentChecker } from '../../src/protect/wal/receiver/segment-checker.ts';
import type { Repository } from '../../src/repository/index.ts';
import type { WalBuilder } from './wal-builder.ts';
import { testSystem } from './wal-lineage.ts';

/** Stores whole segments of what a builder wrote as a receiver does, so that they are indexed. `restartAt` begins a checker anew there. */
export async function joinSegments(
  repository: Repository,
  place: LineagePlace,
  wal: WalBuilder,
  range: { first: bigint; last: bigint; restartAt?: readonly bigint[] },
): Promise<void> {
  const segmentBytes = wal.segmentSize;
  let checker = new SegmentChecker(segmentBytes, testSystem);
  const all = wal.bytes();
  for (let number = range.first; number <= range.last; number++) {
    if (range.restartAt?.includes(number)) checker = new SegmentChecker(segmentBytes, testSystem);
    const from = Number(number * BigInt(segmentBytes) - wal.startLsn);
    const bytes = all.subarray(from, from + segmentBytes);
    const read = async function* () {
      for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    };
    await joinSegment(repository, checker, { place, timeline: wal.timeline, number, segmentBytes, read });
  }
}
