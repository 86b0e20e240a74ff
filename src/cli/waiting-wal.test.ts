import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { createRepository } from '../../test/support/memory-repository.ts';
import { cuttablePlace } from '../../test/support/several-places.ts';
import { storeWith } from '../../test/support/store-with.ts';
import { WalBuilder } from '../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../test/support/wal-lineage.ts';
import { type Clock, HoldfastError, systemClock } from '../lib/index.ts';
import { type ObjectStore, openDiskStore } from '../repository/index.ts';
import { handOverWaiting } from './waiting-wal.ts';

const MIB = 0x10_0000n;
const START = 0x1_0000_0000n;

function walWith(xid: number): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  wal.append({ resourceManager: 10, info: 0, xid, mainData: Buffer.alloc(100, xid) });
  fillTo(wal, START + 2n * MIB);
  return wal;
}

it('why WAL is left on this machine is told: the primary is away, did not take it in time, or has other WAL', async (test) => {
  const place = cuttablePlace('primary');
  const { repository, scratch } = await createRepository(test, { store: place.inner });
  const directory = join(scratch, 'outage');
  const spool = openDiskStore(join(directory, repository.id));
  await spool.createPlace!();
  const inPrimary = await LineageWriter.create(repository);
  const here = await LineageWriter.create(repository.inPlace(spool));
  await here.fragment(walWith(1), START + MIB, START + 2n * MIB);
  const handOver = (primary: ObjectStore, clock: Clock = systemClock) =>
    handOverWaiting({ repository, primary, directory, clock, tell: () => {} });

  place.isCut = true;
  const cut = await handOver(place.store);
  assert.equal(cut?.objects, 2);
  assert.match(cut.reason, /the line is cut/);
  place.isCut = false;

  const { primary, clock } = slowPrimary(place.store);
  assert.match((await handOver(primary, clock))!.reason, /did not take all of it within 15 min/);

  await inPrimary.fragment(walWith(2), START + MIB, START + 2n * MIB, 1, 'f'.repeat(16));
  assert.match((await handOver(place.store))!.reason, /has other WAL for the same positions/);
});

/** A primary that has taken nothing yet when the time is over, by a clock that then jumps. */
function slowPrimary(store: ObjectStore): { primary: ObjectStore; clock: Clock } {
  let [isPutting, isOver] = [false, false];
  const { promise: over, resolve: release } = Promise.withResolvers<void>();
  const put = async () => {
    isPutting = true;
    await over;
    throw new HoldfastError('STORE_UNAVAILABLE', 'it never took anything');
  };
  const clock: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + (isOver ? 3_600_000 : 0),
    sleep: async (ms, signal) => {
      // Only who looks whether all was handed over sleeps for so short a time.
      if (!isPutting || ms > 500) return systemClock.sleep(ms, signal);
      isOver = true;
      setImmediate(release);
    },
  };
  return { primary: storeWith(store, { putIfAbsent: put, putFileIfAbsent: put }), clock };
}
