import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { memoryStore, type ObjectStore } from '../../../repository/index.ts';
import { lineagePrefix } from '../object-names.ts';
import { judgeOfSpool } from './compare-spool.ts';

const MIB = 0x10_0000n;
const START = 0x1_0000_0000n;

/** The same WAL up to `fork`, and other WAL behind it. */
function historyOf(xid: number, fork: bigint): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, fork);
  wal.append({ resourceManager: 10, info: 0, xid, mainData: Buffer.alloc(100, xid) });
  fillTo(wal, START + 3n * MIB);
  return wal;
}

async function setUp(test: TestContext) {
  const { repository } = await createRepository(test, { store: memoryStore() });
  const spool: ObjectStore = memoryStore();
  const primary = await LineageWriter.create(repository);
  const here = await LineageWriter.create(repository.inPlace(spool));
  const judge = judgeOfSpool(repository);
  const contradictions = (...names: string[]) => judge.findContradictions(names, spool, repository.store);
  return { repository, spool, primary, here, judge, contradictions };
}

describe('what waits on this machine, held against the primary', () => {
  it('is contradicted by one byte for the same positions, whatever the objects are called', async (test) => {
    const fork = START + MIB + 0x8_0000n;
    const [ours, theirs] = [historyOf(1, fork), historyOf(2, fork)];
    const { primary, here, contradictions } = await setUp(test);
    const first = await here.fragment(ours, START + MIB, START + MIB + 0x4_0000n);
    const second = await here.fragment(ours, START + MIB + 0x4_0000n, START + 2n * MIB);
    const third = await here.segment(ours, (START + 2n * MIB) / MIB);
    assert.deepEqual(await contradictions(first, second, third), []);
    // Another receiver has joined what it brought.
    await primary.segment(theirs, (START + MIB) / MIB);
    assert.deepEqual(await contradictions(first), []);
    assert.deepEqual(await contradictions(first, second, third), [{ prefix: lineagePrefix(here.place), name: second }]);
  });

  it('is not contradicted by the same WAL in other pieces, nor by what cannot be read', async (test) => {
    const fork = START + MIB;
    const [ours, theirs] = [historyOf(1, fork), historyOf(2, fork)];
    const { repository, primary, here, contradictions } = await setUp(test);
    const waiting = await here.fragment(ours, START + MIB + 0x1_0000n, START + MIB + 0x9_0000n);
    await primary.fragment(ours, START + MIB, START + MIB + 0x3_0000n, 1, '1'.repeat(16));
    await primary.fragment(ours, START + MIB + 0x3_0000n, START + MIB + 0x5_0000n, 1, '2'.repeat(16));
    const rotten = await primary.fragment(theirs, START + MIB, START + 2n * MIB, 1, '3'.repeat(16));
    const bytes = await repository.store.get(rotten);
    bytes[bytes.length >> 1]! ^= 1;
    await repository.store.delete(rotten);
    await repository.store.putIfAbsent(rotten, bytes);
    assert.deepEqual(await contradictions(waiting), []);
  });

  it('is contradicted by another history of the same timeline', async (test) => {
    const { repository, primary, here, contradictions, judge, spool } = await setUp(test);
    const name = await here.history(2, [
      { timeline: 1, switchLsn: START + MIB, reason: 'no recovery target specified' },
    ]);
    await primary.history(2, [{ timeline: 1, switchLsn: START + MIB, reason: 'no recovery target specified' }]);
    assert.deepEqual(await contradictions(name), []);
    assert.equal(await judge.isSame(name, spool, repository.store), true);
    const other = await here.history(3, [{ timeline: 1, switchLsn: START + MIB, reason: 'ours' }]);
    await primary.history(3, [{ timeline: 1, switchLsn: START + 2n * MIB, reason: 'theirs' }]);
    assert.deepEqual(await contradictions(name, other), [{ prefix: lineagePrefix(here.place), name: other }]);
  });
});
