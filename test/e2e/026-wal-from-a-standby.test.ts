import assert from 'node:assert/strict';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { connect } from '../../src/postgres/index.ts';
import type { WalEvent } from '../../src/protect/wal/index.ts';
import { takePlainBackup } from '../support/plain-backup.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

type ProgressEvent = Extract<WalEvent, { kind: 'progress' }>;

const isReport = (event: WalEvent): event is ProgressEvent =>
  event.kind === 'progress' && event.progress.synchronous !== null;

/** So many words of the receiver: the server is asked between them. */
const REPORTS = 4;

it('a standby, which does not know what its primary has written, never says that nothing is missing', async () => {
  const scratch = await makeScratchDirectory('wal-standby');
  try {
    await using primary = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    await primary.query('CREATE TABLE item (i int)');
    const dataDirectory = join(scratch, 'standby');
    const connection = await connect(targetOf(primary.backupUrl), { replication: 'physical' });
    await takePlainBackup(connection, dataDirectory);
    await connection.close();
    await writeFile(join(dataDirectory, 'standby.signal'), '');
    await appendFile(join(dataDirectory, 'postgresql.auto.conf'), `primary_conninfo = '${primary.socketUrl}'\n`);
    await using standby = await startPostgres({ major: 18, dataDirectory, settings: { hot_standby: 'on' } });
    await primary.query('INSERT INTO item VALUES (1)');
    const end = await flushLsnOf(primary);

    const place = await makeRepository(scratch);
    await using receiver = startReceiver({ ...place, source: standby.backupUrl });
    await receiver.durable(end);
    const reports = () => receiver.events.filter(isReport);
    await receiver.seen('some reports', () => reports().length >= REPORTS);
    assert.deepEqual([...new Set(reports().map(({ progress }) => progress.knownUntil))], [null]);

    await standby.query('SELECT pg_promote()');
    await receiver.seen('the word of a primary', (event) => isReport(event) && event.progress.knownUntil !== null);
    await receiver.stop();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
