import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { filler, fillTo, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { systemClock } from '../../../lib/index.ts';
import { readWalInventory } from '../inventory.ts';
import { Persistence } from './persistence.ts';
import { Reception } from './reception.ts';
import { storedObjectsFrom } from './stored-objects.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;

/** WAL of three segments. `first` makes two runs of it differ from their first record on. */
function makeWal(first: number): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  wal.append(filler(first));
  fillTo(wal, START + 3n * MIB);
  return wal;
}

/** A reception that begins at `START` and fills a gap of one segment; behind the gap lies WAL of `behind`. */
async function receptionBeforeStored(test: TestContext, behind: WalBuilder) {
  const { repository } = await createRepository(test);
  const spoolDirectory = await mkdtemp(join(tmpdir(), 'holdfast-reception-'));
  test.after(() => rm(spoolDirectory, { recursive: true, force: true }));
  const writer = await LineageWriter.create(repository);
  await writer.fragment(behind, START + MIB, START + 2n * MIB);
  const lineage = (await readWalInventory(repository)).lineages[0]!;
  const durable: bigint[] = [];
  const clock = systemClock;
  const reception = new Reception({
    ...{ repository, lineage, clock, spoolDirectory, timeline: 1, start: START, storedUntil: START },
    ...{ stored: storedObjectsFrom(lineage, [{ timeline: 1, from: 0n, to: null }], START), receiver: '1'.repeat(16) },
    ...{
      flushIntervalMs: 10,
      isUrgent: () => true,
      emit: () => {},
      onDurable: (lsn: bigint) => void durable.push(lsn),
    },
    persistence: new Persistence({
      ...{ clock, signal: new AbortController().signal },
      ...{ onAway: () => {}, onBack: () => {} },
    }),
  });
  const take = (wal: WalBuilder, from: bigint, to: bigint) =>
    reception.take(from, wal.bytes().subarray(Number(from - START), Number(to - START)));
  return { reception, durable, take };
}

it('counts nothing as durable that is stored further on and was not compared', async (test) => {
  const sent = makeWal(100);
  const { reception, durable, take } = await receptionBeforeStored(test, makeWal(2000));
  await take(sent, START, START + MIB);
  await reception.finish();
  assert.equal(durable.at(-1), START + MIB);
  assert.equal(reception.durable, START + MIB);
});

it('finds that what is stored further on is not the WAL that comes', async (test) => {
  const sent = makeWal(100);
  const { reception, durable, take } = await receptionBeforeStored(test, makeWal(2000));
  await take(sent, START, START + MIB + 8192n);
  await reception.finish();
  const divergence = await Promise.race([reception.diverged, null]);
  assert.ok(divergence !== null && divergence.lsn >= START + MIB);
  assert.ok(durable.every((lsn) => lsn <= START + MIB));
});

it('counts what is stored further on as durable as soon as it was compared', async (test) => {
  const sent = makeWal(100);
  const { reception, durable, take } = await receptionBeforeStored(test, makeWal(100));
  await take(sent, START, START + 2n * MIB);
  await reception.finish();
  assert.equal(durable.at(-1), START + 2n * MIB);
});
