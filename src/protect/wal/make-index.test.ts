import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { joinSegments } from '../../../test/support/indexed-wal.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { filler, LineageWriter, testSystem, transactionEnd } from '../../../test/support/wal-lineage.ts';
import { ResourceManager } from '../../postgres/index.ts';
import { type LineageInventory, readWalInventory } from './inventory.ts';
import { LandmarkReader } from './landmarks/index.ts';
import { makeIndex } from './make-index.ts';
import { scanWal } from './scan.ts';

const MIB = 1024n * 1024n;
/** In the middle of a group of sixteen. */
const FIRST = 4106n;
const SEGMENTS = 42n;
const LINEAGE = 'a'.repeat(64);
const history = { lineage: LINEAGE, timeline: 1 };

function makeWal(): WalBuilder {
  const wal = new WalBuilder({ startLsn: FIRST * MIB });
  for (let xid = 700; wal.lsn < (FIRST + SEGMENTS) * MIB; xid++) {
    wal.append(filler(180_000));
    wal.append(
      transactionEnd(xid % 7 === 0 ? 'abort' : 'commit', xid, 1_780_000_000_000_000n + BigInt(xid) * 1_000_000n),
    );
  }
  return wal;
}

async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** A repository with WAL that is indexed or not. */
async function stored(test: TestContext, isIndexed: boolean) {
  const made = await createRepository(test);
  const wal = makeWal();
  const lineage = await LineageWriter.create(made.repository);
  const last = FIRST + SEGMENTS - 1n;
  if (isIndexed) await joinSegments(made.repository, lineage.place, wal, { first: FIRST, last });
  else for (let number = FIRST; number <= last; number++) await lineage.segment(wal, number);
  const read = async () => (await readWalInventory(made.repository)).lineages[0]!;
  const indexNames = async () =>
    (await collect(made.store.list(`wal/${testSystem}/${LINEAGE}/landmarks/`))).map(({ name }) => name);
  return { ...made, wal, read, indexNames };
}

async function expectWhole(made: Awaited<ReturnType<typeof stored>>, lineage: LineageInventory) {
  const inventory = { lineages: [lineage], damaged: [] };
  const range = { from: FIRST * MIB, to: (FIRST + SEGMENTS) * MIB };
  const expected = await collect(scanWal(made.repository, inventory, { ...history, ...range }));
  const reader = new LandmarkReader(made.repository, inventory, history);
  assert.deepEqual(await collect(reader.read(range)), expected);
  return expected;
}

describe('the commit index of WAL that has none', () => {
  it('is made to the same objects that a receiver would have stored', async (test) => {
    const made = await stored(test, false);
    const received = await stored(test, true);
    const lineage = await made.read();
    const outcome = await makeIndex({ repository: made.repository, lineage });
    assert.deepEqual(outcome, { segments: 42, made: 42, unreadable: [] });
    assert.deepEqual(await made.indexNames(), await received.indexNames());
    // 42 segments, of which 6, 16 and 16 end a group; change sets are put together for whole groups only.
    assert.equal((await made.indexNames()).length, 42 * 2 + 2 * 3 + 2);
    for (const name of await made.indexNames()) {
      const ofLandmarks = /level/.test(name) ? 'wal-landmark-summary' : 'wal-landmarks';
      const kind = /changes/.test(name) ? 'wal-changes' : ofLandmarks;
      const [own, other] = [await made.repository.getBody(kind, name), await received.repository.getBody(kind, name)];
      assert.ok(own.equals(other), name);
    }
    await expectWhole(made, lineage);
    const again = await makeIndex({ repository: made.repository, lineage });
    assert.deepEqual(again, { segments: 42, made: 0, unreadable: [] });
  });

  it('is made where it is missing, only for the newest when that is asked for', async (test) => {
    const made = await stored(test, true);
    const names = await made.indexNames();
    for (const name of names) if (/(?:[05]|E\.\w+)$/.test(name)) await made.store.delete(name);
    const lineage = await made.read();
    const newest = await makeIndex({ repository: made.repository, lineage, newest: 8 });
    assert.equal(newest.segments, 8);
    assert.ok(newest.made > 0 && newest.made <= 2);
    await expectWhole(made, lineage);
    await makeIndex({ repository: made.repository, lineage });
    assert.deepEqual(await made.indexNames(), names);
  });

  it('names a segment that cannot be read, and makes the others', async (test) => {
    const made = await stored(test, false);
    const lineage = await made.read();
    const segment = lineage.timelines.get(1)!.segments.get(FIRST + 5n)!;
    const bytes = await made.store.get(segment.objectName);
    await made.store.delete(segment.objectName);
    await made.store.putIfAbsent(segment.objectName, bytes.subarray(0, bytes.length / 2));
    const outcome = await makeIndex({ repository: made.repository, lineage });
    assert.equal(outcome.made, 41);
    assert.deepEqual(
      outcome.unreadable.map(({ segmentName }) => segmentName),
      [segment.name],
    );
  });

  it('names a segment of which it cannot tell which blocks it changes, each time, and indexes its commits', async (test) => {
    const made = await createRepository(test);
    const wal = new WalBuilder({ startLsn: FIRST * MIB });
    wal.append(transactionEnd('commit', 700, 1_780_000_000_000_000n));
    const truncateOfNoForm = { resourceManager: ResourceManager.storage, info: 0x20, mainData: Buffer.alloc(1) };
    wal.append({ ...filler(100), ...truncateOfNoForm });
    while (wal.lsn < (FIRST + 1n) * MIB) wal.append(filler(180_000));
    const writer = await LineageWriter.create(made.repository);
    await writer.segment(wal, FIRST);
    const lineage = (await readWalInventory(made.repository)).lineages[0]!;
    for (const _ of [1, 2]) {
      const { segments, made: count, unreadable } = await makeIndex({ repository: made.repository, lineage });
      assert.deepEqual([segments, count, unreadable.length], [1, 0, 1]);
      assert.match(unreadable[0]!.reason, /its commits are indexed/);
    }
    const reader = new LandmarkReader(made.repository, { lineages: [lineage], damaged: [] }, history);
    const commits = await collect(reader.read({ from: FIRST * MIB, to: (FIRST + 1n) * MIB }));
    assert.deepEqual(commits.length, 1);
  });

  it('still tells the commits of WAL that was damaged after it was indexed, also without the object of the segment', async (test) => {
    const made = await stored(test, true);
    const lineage = await made.read();
    const expected = await expectWhole(made, lineage);
    const segment = lineage.timelines.get(1)!.segments.get(FIRST + 9n)!;
    await made.store.delete(segment.objectName);
    await made.store.putIfAbsent(segment.objectName, Buffer.alloc(100));
    await made.store.delete(segment.objectName.replace('/segments/', '/landmarks/'));
    const reader = new LandmarkReader(made.repository, { lineages: [lineage], damaged: [] }, history);
    const range = { from: FIRST * MIB, to: (FIRST + SEGMENTS) * MIB };
    assert.deepEqual(await collect(reader.read(range)), expected);
  });
});
