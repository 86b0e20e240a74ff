import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRepository, keyFileIn } from '../../../../test/support/memory-repository.ts';
import { systemClock } from '../../../lib/index.ts';
import { addSlot, beginEpoch, openRepository, removeSlot } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import { Announcer } from './announcer.ts';
import { KeysKeeper } from './keys-keeper.ts';

const clock = systemClock;

describe('the keys of a receiver', () => {
  it('go on with a new epoch, and what was left out of one is told once while it goes on', async (test) => {
    const { repository, store, scratch } = await createRepository(test);
    const credential = await keyFileIn(scratch);
    await addSlot(repository, credential, 'receiver');
    const running = await openRepository({ store, credential, access: 'write', clock });
    const events: WalEvent[] = [];
    const announcer = new Announcer((event) => events.push(event));
    const keeper = new KeysKeeper({ repository: running, clock, announcer });

    await keeper.look();
    assert.equal(running.keys.currentEpoch, 1);
    const { epoch } = await beginEpoch(repository);
    await keeper.look();
    assert.equal(running.keys.currentEpoch, epoch);
    assert.deepEqual(events, []);

    await removeSlot(repository, running.slot);
    await beginEpoch(repository);
    await keeper.look();
    await keeper.look();
    assert.deepEqual(
      (events as readonly WalEvent[]).map((event) => event.kind === 'alarm' && [event.alarm, event.error.code]),
      [['keys', 'REPOSITORY_KEY_REJECTED']],
    );
    await running.putJson('attestation', 'attest/still', { said: 'still' });
    assert.deepEqual(await repository.getJson('attestation', 'attest/still'), { said: 'still' });
  });

  it('end when they are told to, without waiting for the next look', async (test) => {
    const { repository } = await createRepository(test);
    const keeper = new KeysKeeper({ repository, clock, announcer: new Announcer(() => {}) });
    keeper.begin();
    await keeper.end();
  });
});
