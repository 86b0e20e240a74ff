import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type HoldfastError, systemClock } from '../../src/lib/index.ts';
import { connect, createPhysicalSlot } from '../../src/postgres/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { startReceiver } from '../support/wal-receiver.ts';

// The words of a server are not the same in every version: the oldest and the newest are asked.
for (const major of [14, 18] as const) {
  describe(`PostgreSQL ${major} refuses, and it is said why and what to do`, () => {
    let scratch: string;
    let server: PostgresServer;
    before(async () => {
      scratch = await makeScratchDirectory('refused');
      server = await startPostgres({ major, settings: { max_wal_senders: '2', max_replication_slots: '1' } });
    });
    after(async () => {
      await server?.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    it('a wrong password', async () => {
      const wrong = targetOf(server.backupUrl).with({ password: 'wrong' });
      await assert.rejects(connect(wrong, { replication: 'physical' }), {
        code: 'PG_AUTHENTICATION_FAILED',
        message: /wrong user or password/,
        retryable: false,
      });
    });

    it('a role without the right to replicate', async () => {
      await server.query("CREATE ROLE weak LOGIN PASSWORD 'weak'");
      const weak = targetOf(server.url).with({ user: 'weak', password: 'weak' });
      await assert.rejects(connect(weak, { replication: 'physical' }), {
        code: 'PG_ACCESS_DENIED',
        message: /the role may not/,
        hints: ['Run ALTER ROLE … REPLICATION for the role that connects.'],
      });
    });

    it('a host without a line for replication', async () => {
      const path = join(server.dataDirectory, 'pg_hba.conf');
      const rules = await readFile(path, 'utf8');
      await writeFile(path, 'local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n');
      await server.query('SELECT pg_reload_conf()');
      const attempt = () => connect(targetOf(server.backupUrl), { replication: 'physical' });
      // The postmaster reads its rules a moment after it was asked to.
      for (let open = await attempt().catch(() => null); open !== null; open = await attempt().catch(() => null)) {
        await open.close();
      }
      await assert.rejects(attempt(), {
        code: 'PG_ACCESS_DENIED',
        detail: /no pg_hba\.conf entry for replication connection/,
      });
      await writeFile(path, rules);
      await server.query('SELECT pg_reload_conf()');
      for (let open = await attempt().catch(() => null); ; open = await attempt().catch(() => null)) {
        if (open === null) continue;
        await open.close();
        break;
      }
    });

    it('a sender more than it has', async () => {
      const backup = targetOf(server.backupUrl);
      const taken = [
        await connect(backup, { replication: 'physical' }),
        await connect(backup, { replication: 'physical' }),
      ];
      await assert.rejects(connect(backup, { replication: 'physical' }), {
        code: 'PG_TOO_MANY_CONNECTIONS',
        message: /all its WAL senders are in use/,
        retryable: true,
      });
      for (const connection of taken) await connection.close();
    });

    it('a slot more than it has', async () => {
      const connection = await connect(targetOf(server.backupUrl), { replication: 'physical' });
      await createPhysicalSlot(connection, 'taken');
      await assert.rejects(createPhysicalSlot(connection, 'another'), {
        code: 'PG_NO_FREE_SLOT',
        message: 'cannot create the slot "another": all slots are in use',
        sqlState: '53400',
      });
      await connection.close();
      const place = await makeRepository(scratch, 'no-slot');
      await using receiver = startReceiver({ ...place, source: server.backupUrl });
      // Somebody may let go of one, so it waits; what it waits for is said at once.
      await receiver.seen('why', (event) => event.kind === 'reconnect' && event.error.code === 'PG_NO_FREE_SLOT');
      await server.query("SELECT pg_drop_replication_slot('taken')");
      await receiver.seen('a slot', (event) => event.kind === 'stream');
      await receiver.stop();
    });

    it('everybody while it shuts down', async () => {
      await using stopping = await startPostgres({ major });
      const held = await connect(targetOf(stopping.url));
      // A smart shutdown waits for those who are there.
      process.kill(stopping.pid!, 'SIGTERM');
      for (;;) {
        const outcome = await connect(targetOf(stopping.url)).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          const { code, detail, retryable } = outcome as HoldfastError;
          assert.deepEqual([code, retryable], ['PG_SERVER_STARTING', true]);
          assert.match(detail ?? '', /shutting down/);
          break;
        }
        await (outcome as typeof held).close();
        await systemClock.sleep(10);
      }
      await held.close();
    });
  });
}
