import assert from 'node:assert/strict';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { connect } from '../../src/postgres/index.ts';
import { contiguousEndIn, newestTimeline, readWalInventory } from '../../src/protect/wal/index.ts';
import { takePlainBackup } from '../support/plain-backup.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

it('a promoted copy beside its original, which goes on, gets a lineage of its own, and both find theirs again', async () => {
  const scratch = await makeScratchDirectory('wal-promoted-copy');
  try {
    await using original = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    await original.query('CREATE TABLE item (i int)');
    const dataDirectory = join(scratch, 'copy');
    const connection = await connect(targetOf(original.backupUrl), { replication: 'physical' });
    await takePlainBackup(connection, dataDirectory);
    await connection.close();
    await writeFile(join(dataDirectory, 'standby.signal'), '');
    await appendFile(join(dataDirectory, 'postgresql.auto.conf'), `primary_conninfo = '${original.socketUrl}'\n`);
    await using copy = await startPostgres({ major: 18, dataDirectory, settings: { hot_standby: 'on' } });

    const place = await makeRepository(scratch);
    await using receiver = startReceiver({ ...place, source: original.backupUrl });
    await original.query('INSERT INTO item VALUES (1)');
    const shared = await flushLsnOf(original);
    await receiver.durable(shared);
    const replayed = () =>
      copy.query<{ done: boolean }>(`SELECT pg_last_wal_replay_lsn() - '0/0' >= ${shared} AS done`);
    while (!(await replayed())[0]!.done) await systemClock.sleep(20);
    await copy.query('SELECT pg_promote()');

    await using second = startReceiver({ ...place, source: copy.backupUrl });
    await copy.query('INSERT INTO item VALUES (2)');
    await second.durable(await flushLsnOf(copy));
    await original.query('INSERT INTO item VALUES (3)');
    const end = await flushLsnOf(original);
    await receiver.durable(end);
    await second.stop();
    await receiver.stop();

    // Both come back, in either order and with the past of neither in memory: each finds its own lineage, and no other begins.
    for (const [server, statement] of [
      [original, 'INSERT INTO item VALUES (4)'],
      [copy, 'INSERT INTO item VALUES (5)'],
      [original, 'INSERT INTO item VALUES (6)'],
    ] as const) {
      await using again = startReceiver({ ...place, source: server.backupUrl });
      await server.query(statement);
      await again.durable(await flushLsnOf(server));
      await again.stop();
      const alarms = again.events.filter((event) => event.kind === 'alarm');
      assert.deepEqual(alarms, []);
    }

    const { lineages } = await readWalInventory(place.repository);
    assert.equal(lineages.length, 2);
    const parent = lineages.find(({ header }) => header.parent === null)!;
    const child = lineages.find(({ header }) => header.parent !== null);
    assert.equal(child?.header.parent?.lineage, parent.lineage);
    assert.equal(newestTimeline(parent), 1, 'the original is alone in its lineage');
    assert.ok(contiguousEndIn(parent, 1, shared) >= end, 'and all of it can be reached there');
    assert.equal(newestTimeline(child!), 2);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
