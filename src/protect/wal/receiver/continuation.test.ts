import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { filler, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { readWalInventory } from '../inventory.ts';
import { Continuation } from './continuation.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const PATH = [{ timeline: 1, from: 0n, to: null }];

/** Two segments of WAL in records of the given length. */
function makeWal(recordBytes: number): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  while (wal.lsn < START + 2n * MIB) wal.append(filler(recordBytes));
  return wal;
}

/** The first of two segments is stored, the second arrives. */
async function arrive(test: TestContext, stored: WalBuilder, arriving: WalBuilder, sizes = 700) {
  const { repository } = await createRepository(test);
  await (await LineageWriter.create(repository)).segment(stored, START / MIB);
  const [lineage] = (await readWalInventory(repository)).lineages;
  const continuation = await Continuation.prime(repository, lineage!, PATH, START + MIB);
  const bytes = arriving.bytes().subarray(Number(MIB), Number(MIB) + 20_000);
  for (let at = 0; at < bytes.length; at += sizes) {
    const found = continuation!.check(bytes.subarray(at, at + sizes));
    if (found !== 'open') return found;
  }
  return 'open';
}

describe('WAL that goes on where there is nothing to compare', () => {
  it('is proved by the record that reaches over the border, and by what follows it', async (test) => {
    const wal = makeWal(6000);
    assert.equal(await arrive(test, wal, wal), 'proved');
    assert.equal(await arrive(test, wal, wal, 3), 'proved');
  });

  it('of another history is found out', async (test) => {
    assert.equal(await arrive(test, makeWal(6000), makeWal(5000)), 'broken');
  });

  it('proves nothing where the segment before is not stored whole', async (test) => {
    const { repository } = await createRepository(test);
    const wal = makeWal(6000);
    await (await LineageWriter.create(repository)).fragment(wal, START + 8192n, START + MIB);
    const [lineage] = (await readWalInventory(repository)).lineages;
    assert.equal(await Continuation.prime(repository, lineage!, PATH, START + MIB), null);
  });
});
