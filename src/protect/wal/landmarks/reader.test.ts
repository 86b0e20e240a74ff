import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { joinSegments } from '../../../../test/support/indexed-wal.ts';
import { createRepository, type TestRepository } from '../../../../test/support/memory-repository.ts';
import { type RecordParts, WalBuilder } from '../../../../test/support/wal-builder.ts';
import { filler, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { timestampToServer } from '../../../postgres/index.ts';
import { readWalInventory } from '../inventory.ts';
import type { WalLandmark } from '../landmark.ts';
import { scanWal } from '../scan.ts';
import { LandmarkReader } from './reader.ts';

const MIB = 1024n * 1024n;
const START = 0xffe0_0000n; // Two segments before the end of the first 4 GiB.
const FIRST = START / MIB;
const LINEAGE = 'a'.repeat(64);

const uint32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const int64 = (...values: bigint[]) => Buffer.from(BigInt64Array.from(values).buffer);
const time = (seconds: number) => int64(timestampToServer(1_780_000_000_000_000n + BigInt(seconds) * 1_000_000n));

/** A commit with whatever may stand in one. */
function commit(parts: { xid: number; at: number; subs?: number; files?: number; filler?: number }): RecordParts {
  const { xid, at, subs = 0, files = 0, filler: more = 0 } = parts;
  const flags = 1 | (subs > 0 ? 2 : 0) | (files > 0 ? 4 : 0) | 8;
  const mainData = Buffer.concat([
    time(at),
    uint32(flags, 5, 1663),
    subs > 0 ? uint32(subs, ...Array.from({ length: subs }, (_, i) => (xid + i + 1) % 2 ** 32)) : Buffer.alloc(0),
    files > 0
      ? uint32(files, ...Array.from({ length: files }, (_, i) => [1663, 5, 16384 + i]).flat())
      : Buffer.alloc(0),
    uint32(1 + more),
    Buffer.from([0xfe, 0, 0, 0]),
    uint32(5, 20000 + xid, 0),
    Buffer.alloc(16 * more, 7),
  ]);
  return { resourceManager: 1, info: 0x80, xid, mainData };
}

function prepare(xid: number, at: number, name: string): RecordParts {
  const head = Buffer.alloc(72);
  head.writeUInt32LE(xid, 8);
  head.writeUInt32LE(5, 12);
  time(at).copy(head, 16);
  head.writeUInt16LE(Buffer.byteLength(name) + 1, 54);
  return { resourceManager: 1, info: 0x10, xid, mainData: Buffer.concat([head, Buffer.from(`${name}\0`)]) };
}

function checkpoint(redo: bigint, nextXid: bigint, at: number): RecordParts {
  const mainData = Buffer.alloc(88);
  mainData.writeBigUInt64LE(redo, 0);
  mainData.writeUInt32LE(1, 8);
  mainData.writeBigUInt64LE(nextXid, 24);
  mainData.writeBigInt64LE(1_780_000_000n + BigInt(at), 64);
  return { resourceManager: 0, info: 0x10, mainData };
}

const restorePoint = (name: string, at: number): RecordParts => ({
  resourceManager: 0,
  info: 0x70,
  mainData: Buffer.concat([time(at), Buffer.from(`${name}\0`), Buffer.alloc(40)]),
});

const others: RecordParts[] = [
  { resourceManager: 0, info: 0x90, mainData: Buffer.concat([time(7), uint32(2, 1)]) },
  { resourceManager: 0, info: 0x50, mainData: int64(START) },
  { resourceManager: 0, info: 0x60, mainData: uint32(100, 8, 10, 5, 64, 1, 0) },
  { resourceManager: 0, info: 0x40 },
  { resourceManager: 4, info: 0x00, mainData: uint32(16400, 1663, 1, 1663) },
  { resourceManager: 4, info: 0x20, mainData: uint32(16400, 1, 1663) },
  { resourceManager: 5, info: 0x00, mainData: Buffer.concat([uint32(16500), Buffer.from('/srv/ä\0')]) },
  { resourceManager: 5, info: 0x10, mainData: uint32(16500) },
];

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('fill'), bytes: fc.integer({ min: 1, max: 60_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('fill'), bytes: fc.integer({ min: 500_000, max: 2_300_000 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('commit'),
      xid: fc.integer({ min: 3, max: 2 ** 32 - 1 }),
      at: fc.integer({ min: -5000, max: 5000 }),
      subs: fc.integer({ min: 0, max: 3 }),
      files: fc.integer({ min: 0, max: 2 }),
      filler: fc.oneof(
        { weight: 5, arbitrary: fc.constant(0) },
        { weight: 2, arbitrary: fc.integer({ min: 0, max: 80_000 }) },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('checkpoint'), next: fc.bigInt({ min: 3n, max: 1n << 40n }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('name'), name: fc.string({ minLength: 1, maxLength: 20 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('prepare'), name: fc.string({ minLength: 1, maxLength: 20 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('other'), which: fc.nat(others.length - 1) }) },
);
type Step = {
  kind: string;
  bytes?: number;
  xid?: number;
  at?: number;
  subs?: number;
  files?: number;
  filler?: number;
  next?: bigint;
  name?: string;
  which?: number;
};

function partsOf(step: Step, lsn: bigint): RecordParts {
  const name = (step.name ?? '').replaceAll('\0', '_');
  switch (step.kind) {
    case 'fill':
      return filler(step.bytes!);
    case 'commit':
      return commit({ xid: step.xid!, at: step.at!, subs: step.subs!, files: step.files!, filler: step.filler! });
    case 'checkpoint':
      return checkpoint(lsn, step.next!, 9);
    case 'name':
      return restorePoint(name, 4);
    case 'prepare':
      return prepare(99, 5, name);
    default:
      return others[step.which!]!;
  }
}

/** WAL of random records over at least so many segments. */
function writeWal(steps: readonly Step[], segments: bigint): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  for (let i = 0; wal.lsn < START + segments * MIB; i++) wal.append(partsOf(steps[i % steps.length]!, wal.lsn));
  return wal;
}

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

describe('the commit index', () => {
  it('tells the same as the WAL, whatever of it is missing or damaged, and wherever a receiver began anew', async (test) => {
    const scenario = fc.record({
      steps: fc.array(step, { minLength: 5, maxLength: 60 }),
      restarts: fc.array(fc.nat(20), { maxLength: 4 }),
      unindexed: fc.array(fc.nat(20), { maxLength: 3 }),
      lost: fc.array(fc.nat(40), { maxLength: 8 }),
      garbled: fc.array(fc.nat(40), { maxLength: 2 }),
      ranges: fc.array(
        fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
        {
          minLength: 3,
          maxLength: 6,
        },
      ),
      segments: fc.constantFrom(3n, 5n, 19n),
    });
    const made = await createRepository(test);
    await fc.assert(
      fc.asyncProperty(scenario, async (drawn) => {
        for await (const { name } of made.store.list('wal/')) await made.store.delete(name);
        await compareWithScan(made, drawn);
      }),
      { numRuns: 25 },
    );
  });
});

async function compareWithScan(
  { repository, store }: TestRepository,
  drawn: {
    steps: readonly Step[];
    restarts: readonly number[];
    unindexed: readonly number[];
    lost: readonly number[];
    garbled: readonly number[];
    ranges: readonly (readonly [number, number])[];
    segments: bigint;
  },
): Promise<void> {
  const wal = writeWal(drawn.steps, drawn.segments);
  const lineage = await LineageWriter.create(repository);
  const last = FIRST + drawn.segments - 1n;
  const restartAt = drawn.restarts.map((n) => FIRST + BigInt(n));
  await joinSegments(repository, lineage.place, wal, { first: FIRST, last, restartAt });
  // The tail stays in a fragment.
  const tail = START + drawn.segments * MIB;
  if (wal.lsn > tail) await lineage.fragment(wal, tail, wal.lsn);
  const names = (await collect(store.list(`wal/7/${LINEAGE}/landmarks/`))).map(({ name }) => name);
  for (const n of drawn.lost) if (names[n] !== undefined) await store.delete(names[n]);
  for (const n of drawn.garbled) {
    const name = names[n];
    if (name === undefined) continue;
    await store.delete(name);
    await store.putIfAbsent(name, Buffer.alloc(200, n));
  }
  const inventory = await readWalInventory(repository);
  assert.deepEqual(inventory.damaged, []);
  const history = { lineage: LINEAGE, timeline: 1 };
  const whole = { from: START, to: wal.lsn };
  const cuts = drawn.ranges.map(([a, b]) => pickRange(wal, a, b));
  for (const range of [whole, ...cuts]) {
    const expected = await collect(scanWal(repository, inventory, { ...history, ...range }));
    const reader = new LandmarkReader(repository, inventory, history);
    assert.deepEqual(await collect(reader.read(range)), expected);
    await compareCounts(new LandmarkReader(repository, inventory, history), range, expected);
    await compareFiltered(new LandmarkReader(repository, inventory, history), range, expected);
  }
}

/** Between the starts of two records, or at any byte between. */
function pickRange(wal: WalBuilder, a: number, b: number): { from: bigint; to: bigint } {
  const at = (part: number) => wal.records[Math.floor(part * (wal.records.length - 1))]!;
  const from = at(Math.min(a, b)).lsn;
  const to = at(Math.max(a, b)).lsn + BigInt(Math.round(a * 1000));
  return { from, to };
}

async function compareCounts(
  reader: LandmarkReader,
  range: { from: bigint; to: bigint },
  expected: readonly WalLandmark[],
): Promise<void> {
  let commits = 0;
  let files = 0;
  for await (const part of reader.summarize(range)) {
    if (!('kind' in part)) {
      commits += part.commits;
      files += part.removals;
    } else if (part.kind === 'transaction' && part.transaction.outcome === 'commit') {
      commits += 1;
      if (part.transaction.removedFiles.length > 0) files += 1;
    }
  }
  const ends = expected.flatMap((landmark) => (landmark.kind === 'transaction' ? [landmark.transaction] : []));
  assert.equal(commits, ends.filter(({ outcome }) => outcome === 'commit').length);
  assert.equal(files, ends.filter(({ removedFiles }) => removedFiles.length > 0).length);
}

/** Passing over what cannot be wanted leaves out nothing that is. */
async function compareFiltered(
  reader: LandmarkReader,
  range: { from: bigint; to: bigint },
  expected: readonly WalLandmark[],
): Promise<void> {
  const limit = 1_780_000_000_000_000n + 2_000_000_000n;
  const isLate = (landmark: WalLandmark) => landmark.kind === 'transaction' && landmark.transaction.at > limit;
  const found = await collect(reader.read({ ...range, mayHold: ({ ends }) => ends !== null && ends.latest > limit }));
  assert.deepEqual(found.filter(isLate), expected.filter(isLate));
}
