import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { LineageWriter } from '../../../test/support/wal-lineage.ts';
import { systemClock } from '../../lib/index.ts';
import { formatSegmentName, type Timestamp, timestampFromMilliseconds } from '../../postgres/index.ts';
import { memoryStore, type ObjectStore } from '../../repository/index.ts';
import { findCommit } from './find-commit.ts';
import { type LineageInventory, makeTimelineInventory, readWalInventory, type StoredSegment } from './inventory.ts';
import type { WalLandmark } from './landmark.ts';
import { putBlock, type SegmentBlock } from './landmarks/index.ts';
import { LandmarkColumns } from './landmarks/landmark-columns.ts';
import { encodeSummaries, type LandmarkSummary, mergeSummaries, summarizeBlock } from './landmarks/summary.ts';
import { landmarksObjectName, segmentObjectName } from './object-names.ts';
import { resolveTime } from './resolve-time.ts';

const SIZE = 16 * 1024 * 1024;
const SEGMENTS = 100_000;
const COMMITS_PER_SEGMENT = 10;
/** A segment is written in so many seconds: all of them in a hundred days. */
const SECONDS = 86.4;
const BEGIN = Date.UTC(2026, 7, 15);

/** One landmark in the middle of each tenth of a segment. */
function makeBlock(number: number): SegmentBlock {
  const landmarks = Array.from({ length: COMMITS_PER_SEGMENT }, (_, i): WalLandmark => {
    const lsn = BigInt(number) * BigInt(SIZE) + BigInt(8 * (100 + i * 100_000));
    const transaction = {
      ...({
        outcome: 'commit',
        wasPrepared: false,
        xid: xidOf(number, i),
        at: timeOf(number, i),
        databaseOid: null,
      } as const),
      ...{ subtransactions: 0, subtransactionXids: [], removedFiles: [], invalidatedRelations: [] },
    };
    return { kind: 'transaction', lsn, endLsn: lsn + 40n, span: 34, transaction };
  });
  const tail = { kind: 'none' } as const;
  return {
    ...{ number: BigInt(number), timeline: 1, firstRecordLsn: BigInt(number) * BigInt(SIZE) + 40n, tail },
    ...{ isHeadKnown: true, nextXid: BigInt(xidOf(number + 1, 0)), landmarks },
  };
}

const xidOf = (number: number, i: number) => 1000 + number * COMMITS_PER_SEGMENT + i;
const timeOf = (number: number, i: number): Timestamp =>
  timestampFromMilliseconds(BEGIN + (number + i / COMMITS_PER_SEGMENT) * SECONDS * 1000);

/** A store that counts what it is asked for. */
function countReads(store: ObjectStore): { store: ObjectStore; reads: string[] } {
  const reads: string[] = [];
  const counted = new Proxy(store, {
    get: (inner, key: keyof ObjectStore) => {
      const value = inner[key];
      if (typeof value !== 'function') return value;
      return (...given: [string]) => {
        if (['get', 'getRange', 'stat', 'list'].includes(key)) reads.push(given[0]);
        return (value as (...all: unknown[]) => unknown).apply(inner, given);
      };
    },
  });
  return { store: counted, reads };
}

it('a time, and a transaction, is found in a hundred days of WAL with a few dozen reads', async (test) => {
  const { store, reads } = countReads(memoryStore({ clock: systemClock }));
  const { repository } = await createRepository(test, { store });
  const { place } = await LineageWriter.create(repository, { segmentBytes: SIZE, startLsn: 0n });
  const nameOf = (number: number) => formatSegmentName(1, BigInt(number), SIZE);
  const put = (level: number, number: number, parts: LandmarkSummary[]) =>
    repository.putBody(
      'wal-landmark-summary',
      landmarksObjectName(place, nameOf(number), { level }),
      encodeSummaries(level, parts),
    );
  let below = Array.from({ length: SEGMENTS }, (_, number) => summarizeBlock(makeBlock(number)));
  for (let level = 1; below.length >= 16; level++) {
    const above: LandmarkSummary[] = [];
    for (let at = 0; at + 16 <= below.length; at += 16) {
      const parts = below.slice(at, at + 16) as [LandmarkSummary, ...LandmarkSummary[]];
      await put(level, Number(parts[0].number), parts);
      above.push(mergeSummaries(parts));
    }
    below = above;
  }
  // Only segments that are asked for have a block; any other one that was read would be missed, and its WAL, too.
  for (const number of [77_776, 77_777, 77_778]) {
    const block = makeBlock(number);
    const columns = new LandmarkColumns(BigInt(number) * BigInt(SIZE));
    for (const landmark of block.landmarks) columns.add(landmark);
    const collected = { ...block, columns: columns.finish(), summary: summarizeBlock(block) };
    await putBlock(repository, { ...place, timeline: 1, segmentBytes: SIZE }, collected);
  }
  const [listed] = (await readWalInventory(repository)).lineages;
  const segments = new Map<bigint, StoredSegment>();
  for (let number = 0; number < SEGMENTS; number++) {
    const objectName = segmentObjectName(place, nameOf(number));
    segments.set(BigInt(number), { number: BigInt(number), name: nameOf(number), objectName });
  }
  const lineage: LineageInventory = {
    ...listed!,
    timelines: new Map([[1, makeTimelineInventory(1, SIZE, segments, [])]]),
  };
  const inventory = { lineages: [lineage], damaged: [] };
  const history = { lineage: place.lineage, timeline: 1, from: 0n };

  reads.length = 0;
  const found = await resolveTime(repository, inventory, { ...history, time: timeOf(77_777, 4) + 5n });
  assert.ok(found.kind === 'before-transaction');
  assert.equal(found.stop.transaction.xid, xidOf(77_777, 5));
  assert.equal(found.lastCommit?.transaction.xid, xidOf(77_777, 4));
  assert.equal(found.skippedCount, 0);
  assert.ok(
    reads.every((name) => name.includes('/landmarks/') || name.startsWith('volatile/')),
    'no WAL was read',
  );
  assert.ok(reads.length < 60, `${reads.length} reads`);

  reads.length = 0;
  const commit = await findCommit(repository, inventory, { ...history, xid: xidOf(77_777, 8) });
  assert.equal(commit?.transaction.at, timeOf(77_777, 8));
  assert.ok(reads.length < 60, `${reads.length} reads`);
});
