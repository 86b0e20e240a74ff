import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { readReceiverStatuses, type WalEvent } from '../../src/protect/wal/index.ts';
import { openDiskStore, openRepository } from '../../src/repository/index.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

const alarmOf = (alarm: string) => (event: WalEvent) => event.kind === 'alarm' && event.alarm === alarm;

for (const major of [postgresMajors.at(-1)!, postgresMajors[0]!]) {
  it(`PostgreSQL ${major}: WAL that waits on the server is told against the budget, and when the slot loses it or is about to`, async () => {
    const scratch = await makeScratchDirectory('wal-budget');
    try {
      const settings = { max_slot_wal_keep_size: '8MB', max_wal_size: '4MB', min_wal_size: '2MB', autovacuum: 'off' };
      await using server = await startPostgres({ major, walSegmentSizeMb: 1, settings });
      await server.query('CREATE TABLE item (i int)');
      const place = await makeRepository(scratch);
      const store = new FaultyStore(openDiskStore(place.path));
      const common = { credential: testCredential, access: 'write', clock: systemClock } as const;
      const repository = await openRepository({ store, ...common });
      await using receiver = startReceiver({
        ...place,
        repository,
        source: server.backupUrl,
        budgetBytes: 4 * 1024 * 1024,
      });
      await receiver.durable(await flushLsnOf(server));
      // The store is away: the server keeps what it writes, more and more of it.
      store
        .plan({ kind: 'fail', call: 'putIfAbsent', name: 'wal/' })
        .plan({ kind: 'fail', call: 'putFileIfAbsent', name: 'wal/' });
      const write = async () => {
        await server.query('INSERT INTO item SELECT i FROM generate_series(1, 30000) i');
        await server.query('SELECT pg_switch_wal()');
      };
      for (let round = 0; round < 3; round++) await write();
      const budget = await receiver.seen('the budget', alarmOf('budget'));
      assert.ok(
        budget.kind === 'alarm' && /keeps .*MiB of WAL, more than the budget of 4.*MiB/.test(budget.error.message),
      );
      for (let round = 0; round < 4; round++) await write();
      const slot = await receiver.seen('the slot', alarmOf('slot'));
      assert.ok(
        slot.kind === 'alarm' && slot.error.code === 'WAL_SLOT_ENDANGERED',
        String((slot as { error?: unknown }).error),
      );

      store.heal();
      await receiver.durable(await flushLsnOf(server));
      await receiver.seen('the end of it', (event) => event.kind === 'recovered' && event.alarm === 'slot');
      await receiver.stop();
      const [status] = await readReceiverStatuses(repository);
      assert.equal(status!.space!.budgetBytes, 4 * 1024 * 1024);
      assert.equal(status!.space!.slotStatus, 'reserved');
      assert.ok(status!.space!.walBytes! > 0n);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
}
