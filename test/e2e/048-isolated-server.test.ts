import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { type Instance, parseLsn } from '../../src/postgres/index.ts';
import { BLOCK_BEGIN, type RestoreResult } from '../../src/restore/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { historyOf, type ProtectedServer, startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const rows = 3;
const origins = 15;
const prepared = 6;

for (const major of [18, 14] as const) {
  describe(`a server of PostgreSQL ${major} that is started on what was restored`, () => {
    let world: ProtectedServer;
    let result: RestoreResult;
    let instance: Instance;

    before(async () => {
      const originPlaces = major >= 18 ? 'max_active_replication_origins' : 'max_replication_slots';
      const settings = { autovacuum: 'off', max_prepared_transactions: '2', [originPlaces]: '20' };
      world = await startProtectedServer(major, settings);
      const { server } = world;
      // What a restored server would stumble over if it read what was restored.
      await appendFile(
        join(server.dataDirectory, 'postgresql.conf'),
        "\ninclude 'not-backed-up.conf'\nshared_preload_libraries = 'pg_cron'\nsynchronous_standby_names = 'somebody'\nno_such_setting = 1\n",
      );
      await writeFile(join(server.dataDirectory, 'pg_ident.conf'), 'neither this\n');
      await world.backUp();
      // Only the WAL tells of all that follows.
      await server.query(
        `SELECT pg_replication_origin_advance(name, '0/1000') FROM (SELECT 'o' || n AS name, pg_replication_origin_create('o' || n) FROM generate_series(1, ${origins}) AS n) AS o`,
      );
      await server.query(
        "CREATE SUBSCRIPTION production CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect = false)",
      );
      await server.query('ALTER SUBSCRIPTION production ENABLE');
      if (major >= 15) await server.query("UPDATE pg_database SET datcollversion = '0' WHERE datname = 'postgres'");
      else await server.query("UPDATE pg_collation SET collversion = '0' WHERE collname = 'C'");
      await restartWith(`max_prepared_transactions = ${prepared + 4}`);
      await world.write(rows);
      for (let n = 0; n < prepared; n++)
        await server.query(`BEGIN; CREATE TABLE held_${n} (); PREPARE TRANSACTION 'p${n}'`);
      // With these nobody comes in any more, so that they stand last.
      const [last] = await server.query<{ lsn: string }>(`
        BEGIN;
        ALTER ROLE postgres SET session_preload_libraries = 'not_there';
        ALTER DATABASE postgres SET local_preload_libraries = 'not_there_either';
        ALTER ROLE postgres SET search_path = 'nowhere';
        ALTER ROLE postgres SET statement_timeout = '1ms';
        COMMIT;
        SELECT pg_current_wal_flush_lsn()::text AS lsn`);
      await world.receiver.durable(parseLsn(last!.lsn));
      result = await world.restore({
        target: { kind: 'latest' },
        start: { binDirectory: server.binDirectory },
        ...owner,
      });
      instance = result.instance!.instance;
    });
    after(async () => {
      await result?.instance?.stop();
      await world?.dispose();
    });

    /** The configuration was only spoilt for the backup. */
    async function restartWith(line: string): Promise<void> {
      const path = join(world.server.dataDirectory, 'postgresql.conf');
      const [sound] = readFileSync(path, 'utf8').split("\ninclude 'not-backed-up.conf'");
      await writeFile(path, `${sound}\n${line}\n`);
      await writeFile(join(world.server.dataDirectory, 'pg_ident.conf'), '');
      await world.server.restart();
    }

    async function ask(sql: string): Promise<string> {
      const connection = await instance.connect();
      try {
        return (await connection.query(sql))
          .at(-1)!
          .rows.map((row) => row.join(' '))
          .join('\n');
      } finally {
        await connection.close();
      }
    }

    it('reads nothing that was restored', async () => {
      assert.equal(await ask('SELECT count(*) FROM public.history'), String(rows));
      const sources = await ask(
        "SELECT DISTINCT sourcefile FROM pg_settings WHERE sourcefile IS NOT NULL UNION SELECT setting FROM pg_settings WHERE name IN ('hba_file', 'ident_file')",
      );
      for (const path of sources.split('\n')) assert.ok(path.startsWith(instance.target.host), path);
      assert.equal(await ask('SHOW shared_preload_libraries'), '');
    });

    it('does nothing in the world: no archive, no standbys, no subscriptions, no triggers', async () => {
      const wanted: Record<string, string> = {
        listen_addresses: '',
        archive_mode: 'off',
        hot_standby: 'off',
        synchronous_standby_names: '',
        primary_conninfo: '',
        max_logical_replication_workers: '0',
        autovacuum: 'off',
        ...(major >= 17 ? { event_triggers: 'off', sync_replication_slots: 'off' } : {}),
      };
      for (const [name, value] of Object.entries(wanted)) assert.equal(await ask(`SHOW ${name}`), value, name);
      const workers =
        "SELECT backend_type FROM pg_stat_activity WHERE backend_type ~ 'logical|archiver|walsender|walreceiver'";
      assert.equal(await ask(workers), '');
    });

    it('loads no library for our sessions that the data asks for, and leaves no role to the data', async () => {
      assert.equal(await ask('SHOW session_preload_libraries'), '');
      assert.equal(await ask('SHOW local_preload_libraries'), '');
      assert.equal(await ask('SELECT current_user'), 'postgres');
      // What the search path leads to is the data's own affair; our questions do not follow it.
      await assert.rejects(historyOf(instance), /relation "history" does not exist/);
      assert.equal(result.checks?.databases.length, 2);
    });

    it('has room for what only the WAL told of', async () => {
      assert.equal(await ask('SELECT count(*) FROM pg_prepared_xacts'), String(prepared));
      assert.equal(await ask('SELECT count(*) FROM pg_replication_origin_status'), String(origins));
      assert.ok(Number(await ask('SHOW max_prepared_transactions')) >= prepared);
      assert.equal(result.checks?.preparedTransactions.length, prepared);
    });

    it('has no network of its own, where the system makes a namespace for it', () => {
      const separate = readlinkSync(`/proc/${instance.pid}/ns/net`) !== readlinkSync('/proc/self/ns/net');
      assert.equal(instance.hasOwnNetwork, separate);
      if (runsAsRoot) assert.equal(separate, true);
    });

    it('names subscriptions that would go on, and collations of another version, and then takes no answer from an index', async () => {
      assert.deepEqual(result.checks?.subscriptions, [{ database: 'postgres', name: 'production' }]);
      assert.ok(result.notes.some((note) => /subscriptions, which are at rest/.test(note)));
      assert.ok((result.checks?.collationMismatches.length ?? 0) > 0);
      assert.ok(result.notes.some((note) => /index scans are turned off/.test(note)));
      // The server takes the new settings up a moment after it was told.
      while ((await ask('SHOW enable_indexscan')) !== 'off') await systemClock.sleep(20);
      assert.equal(await ask('SHOW enable_bitmapscan'), 'off');
      assert.equal(await ask('SHOW enable_indexonlyscan'), 'off');
    });

    it('is separated as well when somebody else starts it, until the lines are removed', async () => {
      const { proposal } = await world.restore({ target: { kind: 'latest' }, ...owner });
      const automatic = join(proposal.into, 'postgresql.auto.conf');
      const [, block] = readFileSync(automatic, 'utf8').split(BLOCK_BEGIN);
      assert.match(block!, /max_logical_replication_workers = '0'/);
      assert.match(block!, new RegExp(`max_prepared_transactions = '${prepared + 4}'`));
      const path = join(proposal.into, 'postgresql.conf');
      const [sound] = readFileSync(path, 'utf8').split("\ninclude 'not-backed-up.conf'");
      await writeFile(path, sound!);
      await writeFile(join(proposal.into, 'pg_ident.conf'), '');
      await using server = await startPostgres({ major, dataDirectory: proposal.into });
      await untilOpen(server).catch((error) => {
        // The role's own settings are in force now, as they were on the old server.
        if (!/not_there/.test(String(error))) throw error;
      });
      assert.match(await server.logText(), /archive recovery complete/);
    });
  });
}
