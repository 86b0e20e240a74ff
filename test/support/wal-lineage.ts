import {
  formatSegmentName,
  formatTimelineHistory,
  type TimelineSwitch,
  timestampToServer,
} from '../../src/postgres/index.ts';
import type { LineageParent, LineagePlace } from '../../src/protect/wal/index.ts';
import { encodeLineageHeader } from '../../src/protect/wal/lineage.ts';
import {
  fragmentObjectName,
  historyObjectName,
  lineageObjectName,
  segmentObjectName,
} from '../../src/protect/wal/object-names.ts';
import type { Repository } from '../../src/repository/index.ts';
import type { MadeRecord, RecordParts, WalBuilder } from './wal-builder.ts';

/** The system identifier of `WalBuilder`, unless it is given another one. */
export const testSystem = '7';

/** Writes a lineage into a repository by hand, object by object. */
export class LineageWriter {
  readonly place: LineagePlace;
  readonly #repository: Repository;
  readonly #segmentBytes: number;

  private constructor(repository: Repository, place: LineagePlace, segmentBytes: number) {
    this.#repository = repository;
    this.place = place;
    this.#segmentBytes = segmentBytes;
  }

  static async create(
    repository: Repository,
    options: {
      id?: string;
      segmentBytes?: number;
      startLsn?: bigint;
      parent?: LineageParent;
      cluster?: string;
      system?: string;
    } = {},
  ): Promise<LineageWriter> {
    const { segmentBytes = 1024 * 1024, startLsn = 0x1_0000_0000n, parent = null, cluster = 'main' } = options;
    const place = { system: options.system ?? testSystem, lineage: (options.id ?? 'a').repeat(64) };
    const header = {
      ...place,
      cluster,
      createdAt: '2026-01-01T00:00:00.000Z',
      segmentBytes,
      startTimeline: 1,
      startLsn,
      parent,
    };
    await repository.putJson('wal-lineage', lineageObjectName(place), encodeLineageHeader(header));
    return new LineageWriter(repository, place, segmentBytes);
  }

  /** A whole segment of what a builder wrote. */
  async segment(wal: WalBuilder, number: bigint, timeline = wal.timeline): Promise<string> {
    const size = BigInt(this.#segmentBytes);
    const name = segmentObjectName(this.place, formatSegmentName(timeline, number, this.#segmentBytes));
    await this.#repository.putBody('wal-segment', name, this.#cut(wal, number * size, (number + 1n) * size));
    return name;
  }

  /** A fragment of what a builder wrote. */
  async fragment(
    wal: WalBuilder,
    start: bigint,
    end: bigint,
    timeline = wal.timeline,
    receiver = '0'.repeat(16),
  ): Promise<string> {
    const name = fragmentObjectName(this.place, { timeline, start, end, receiver });
    await this.#repository.putBody('wal-fragment', name, this.#cut(wal, start, end));
    return name;
  }

  async history(timeline: number, switches: TimelineSwitch[]): Promise<string> {
    const name = historyObjectName(this.place, timeline);
    await this.#repository.putBody('timeline-history', name, Buffer.from(formatTimelineHistory(switches)));
    return name;
  }

  #cut(wal: WalBuilder, start: bigint, end: bigint): Buffer {
    const to = Number(end - wal.startLsn);
    return wal.bytes(Math.max(to, wal.offset)).subarray(Number(start - wal.startLsn), to);
  }
}

/** Records as PostgreSQL writes them at the end of a transaction; `at` in microseconds since 1970. */
export function transactionEnd(outcome: 'commit' | 'abort', xid: number, at: bigint): RecordParts {
  const mainData = Buffer.alloc(8);
  mainData.writeBigInt64LE(timestampToServer(at));
  return { resourceManager: 1, info: outcome === 'commit' ? 0x00 : 0x20, xid, mainData };
}

/** A record without meaning, to fill WAL up. */
export function filler(bytes: number): RecordParts {
  return { resourceManager: 10, info: 0, mainData: Buffer.alloc(bytes, 0xab) };
}

/** Fills WAL up to at least `lsn`. */
export function fillTo(wal: WalBuilder, lsn: bigint): MadeRecord[] {
  const made: MadeRecord[] = [];
  while (wal.lsn < lsn) made.push(wal.append(filler(6000)));
  return made;
}
