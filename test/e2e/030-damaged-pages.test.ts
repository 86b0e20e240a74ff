import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

describe('a snapshot with pages that the server found damaged', () => {
  let scratch: string;
  let server: PostgresServer;
  const run = (...words: string[]) =>
    runHoldfast(words, {
      environment: {
        DATABASE_URL: server.backupSocketUrl,
        HOLDFAST_REPOSITORY: join(scratch, 'repository'),
        HOLDFAST_PASSPHRASE: 'only for tests, known to all',
        HOLDFAST_STATE_DIR: join(scratch, 'state'),
      },
    });
  const victim = /checksum verification failed in file .*\(table "public\.victim" of database "postgres"\)/;
  const toast = /\(TOAST data "pg_toast\.pg_toast_\d+" of table "Other\.Sad tale" of database "postgres"\)/;
  let snapshot = '';

  before(async () => {
    scratch = await makeScratchDirectory('damaged-pages');
    server = await startPostgres({ major: 18, settings: { autovacuum: 'off' } });
    await server.query(`
      CREATE TABLE victim AS SELECT i FROM generate_series(1, 5000) i;
      CREATE SCHEMA "Other"; CREATE TABLE "Other"."Sad tale" (text text);
      ALTER TABLE "Other"."Sad tale" ALTER text SET STORAGE EXTERNAL;
      INSERT INTO "Other"."Sad tale" SELECT repeat(i::text, 20000) FROM generate_series(1, 5) i;`);
    const files = await server.query<{ path: string }>(`
      SELECT pg_relation_filepath('victim') AS path
      UNION ALL SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'Sad tale'`);
    await server.stop('fast');
    for (const { path } of files) {
      const descriptor = openSync(join(server.dataDirectory, path), 'r+');
      writeSync(descriptor, Buffer.from('damage'), 0, 6, 3 * 8192 + 4000);
      closeSync(descriptor);
    }
    await server.restart();
    await run('repository', 'init');
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  it('is kept, with the names of the relations, and the backup ends with 3', async () => {
    const backup = await run('backup', '--json');
    assert.equal(backup.code, 3, backup.stderr);
    const document = documentOf<{ snapshot: string; checksumFailures: string[] }>(backup);
    snapshot = document.snapshot;
    assert.match(document.checksumFailures.join('\n'), victim);
    assert.match(document.checksumFailures.join('\n'), toast);
  });

  it('is marked wherever it is told of', async () => {
    assert.match((await run('list')).stdout, /stored, damaged pages/);
    const [listed] = documentOf<{ snapshots: { checksumFailures: string[] }[] }>(await run('list', '--json')).snapshots;
    assert.match(listed!.checksumFailures.join('\n'), victim);
    assert.match((await run('show', snapshot)).stdout, victim);
    const status = await run('status');
    assert.equal(status.code, 3);
    assert.match(status.stdout, /The newest snapshot holds pages that are damaged on the server: .*(victim|Sad tale)/);
    assert.match((await run('verify')).stdout, victim);
  });

  it('is restored with a warning that names the relation', async () => {
    const restore = await run('restore', '--into', join(scratch, 'into'), '--json');
    assert.equal(restore.code, 0, restore.stderr);
    const { proposal } = documentOf<{ proposal: { warnings: string[] } }>(restore);
    assert.match(proposal.warnings.join('\n'), victim);
    assert.match(restore.stderr, victim);
  });
});
