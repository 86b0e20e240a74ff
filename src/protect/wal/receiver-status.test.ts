import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import {
  findRunningReceiver,
  type ReceiverStatus,
  readReceiverStatuses,
  receiverStatusName,
  STATUS_FRESH_MS,
  writeReceiverStatus,
} from './receiver-status.ts';

const identity = { system: '7', cluster: 'main' };
const name = receiverStatusName({ ...identity, slot: 'holdfast_main' });
const status: ReceiverStatus = {
  ...{ ...identity, lineage: 'a'.repeat(64), timeline: 2, receiver: 'f'.repeat(16), running: true, synchronous: true },
  temporary: false,
  ...{ durableLsn: 0x1_0000_0010n, serverFlushLsn: 0x1_0000_0020n },
  known: { until: 1_780_000_000_123_456n, lsn: 0x1_0000_0010n },
  space: {
    ...{ slotBytes: 2n ** 60n + 1n, slotStatus: 'extended', safeBytes: null, walBytes: 5n, freeBytes: 2n ** 41n },
    ...{ budgetBytes: 2 ** 34, isOverBudget: true, growthPerSecond: 1.5, fullInSeconds: 7, lostInSeconds: null },
  },
};

describe('what a receiver says of itself', () => {
  it('is read as it was written, with its age by the clock of the store', async (test) => {
    const clock = new ManualClock();
    const { repository } = await createRepository(test, { clock });
    await writeReceiverStatus(repository, name, status);
    await clock.advance(3_000);
    const [found] = await readReceiverStatuses(repository);
    const { writtenAt, ageMs, ...rest } = found!;
    assert.deepEqual({ ...rest, ageMs }, { ...status, ageMs: 3_000 });
    assert.equal(writtenAt, clock.now() - 3_000);
  });

  it('says that one runs only while it is fresh, of this cluster, and not its last word', async (test) => {
    const clock = new ManualClock();
    const { repository } = await createRepository(test, { clock });
    assert.equal(await findRunningReceiver(repository, identity), null);
    await writeReceiverStatus(repository, name, status);
    assert.equal((await findRunningReceiver(repository, identity))?.lineage, status.lineage);
    assert.equal(await findRunningReceiver(repository, { ...identity, system: '8' }), null);
    assert.equal(await findRunningReceiver(repository, { ...identity, cluster: 'other' }), null);
    await clock.advance(STATUS_FRESH_MS);
    assert.equal(await findRunningReceiver(repository, identity), null);
    await writeReceiverStatus(repository, name, { ...status, running: false });
    assert.equal(await findRunningReceiver(repository, identity), null);
  });

  it('is passed over when it is torn or of another kind, as nothing depends on it', async (test) => {
    const { repository, store } = await createRepository(test);
    await writeReceiverStatus(repository, name, status);
    await store.putVolatile(`volatile/status/${'1'.repeat(32)}`, Buffer.from('torn'));
    await repository.putVolatileJson('status', `volatile/status/${'2'.repeat(32)}`, { role: 'other' });
    assert.equal((await readReceiverStatuses(repository)).length, 1);
  });
});
