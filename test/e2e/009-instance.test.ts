import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  connect,
  findServerBinaries,
  formatLsn,
  type Instance,
  type InstanceOptions,
  parseConnectionString,
  parseLsn,
  putBackConfiguration,
  readControlFile,
  startInstance,
} from '../../src/postgres/index.ts';
import { giveToServerUser, takePlainBackup } from '../support/plain-backup.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { isAlive } from '../support/processes.ts';
import { makeScratchDirectory, runsAsRoot } from '../support/scratch.ts';

for (const major of postgresMajors) {
  describe(`a throw-away server of PostgreSQL ${major}`, () => {
    let server: PostgresServer;
    let scratch: string;
    /** Directly before and behind the insertion of the second thousand. */
    let beforeLsn: string;
    let lastLsn: string;
    let startLsn: bigint;
    before(async () => {
      scratch = await makeScratchDirectory('instance');
      server = await startPostgres({ major, settings: { max_prepared_transactions: '7', max_connections: '37' } });
      await server.query('CREATE TABLE item AS SELECT generate_series(1, 1000) AS n');
      // What production has set must not be in force in a copy.
      await server.query("ALTER SYSTEM SET shared_buffers = '4000GB'");
      await server.query("ALTER SYSTEM SET archive_mode = 'on'");
      await server.query("ALTER SYSTEM SET shared_preload_libraries = 'not_installed_here'").catch(async () => {
        await server.query("ALTER SYSTEM SET session_preload_libraries = ''");
      });
      const connection = await connect(parseConnectionString(server.backupSocketUrl, { variables: {} }), {
        replication: 'physical',
      });
      const backup = await takePlainBackup(connection, join(scratch, 'backup'));
      startLsn = backup.startLsn;
      await connection.close();
      const lsn = async () => String((await server.query('SELECT pg_current_wal_insert_lsn() AS lsn'))[0]?.lsn);
      await server.query("BEGIN; INSERT INTO item VALUES (0); PREPARE TRANSACTION 'held'");
      beforeLsn = await lsn();
      await server.query('INSERT INTO item SELECT generate_series(1001, 2000)');
      lastLsn = await lsn();
      await server.query('SELECT pg_switch_wal()');
      await mkdir(join(scratch, 'archive'));
      for (const name of await readdir(join(server.dataDirectory, 'pg_wal'))) {
        if (!/^[0-9A-F]{24}$/.test(name)) continue;
        await copyFile(join(server.dataDirectory, 'pg_wal', name), join(scratch, 'archive', name));
      }
      await giveToServerUser(scratch);
    });
    after(async () => {
      await server.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    let count = 0;
    /** Starts a server on a fresh copy of the backup and ends it behind the test. */
    async function withInstance(
      settings: Record<string, string>,
      work: (instance: Instance, dataDirectory: string) => Promise<void>,
      options: Partial<InstanceOptions> = {},
    ): Promise<void> {
      const place = join(scratch, `copy-${++count}`);
      const dataDirectory = join(place, 'data');
      await mkdir(place);
      await promisify(execFile)('cp', ['-a', join(scratch, 'backup'), dataDirectory]);
      await writeFile(join(dataDirectory, 'recovery.signal'), '');
      await giveToServerUser(place);
      const instance = await startInstance({
        dataDirectory,
        binDirectory: server.binDirectory,
        runDirectory: join(place, 'run'),
        // What is lost with the machine may be lost here: the copy is thrown away.
        settings: { fsync: 'off', restore_command: `cp "${scratch}/archive/%f" "%p"`, ...settings },
        ...options,
      });
      try {
        await work(instance, dataDirectory);
      } finally {
        await instance.stop('immediate');
        await rm(place, { recursive: true });
      }
    }

    const toLsn = (lsn: string) => ({
      recovery_target_lsn: lsn,
      recovery_target_inclusive: 'off',
      recovery_target_timeline: '1',
      recovery_target_action: 'promote',
    });

    it('recovers exactly to the position that is asked for, and says where it came', async () => {
      await withInstance(toLsn(beforeLsn), async (instance) => {
        const end = await instance.waitForEndOfRecovery();
        assert.equal(end.endLsn, parseLsn(beforeLsn));
        assert.equal(end.newTimeline, 2);
        assert.equal(end.redoStartLsn, startLsn);
        assert.ok(end.consistentLsn !== null && end.restoredFiles.length > 0);
        assert.match(end.stopping ?? '', /recovery stopping before WAL location/);
        const connection = await instance.connect();
        assert.deepEqual((await connection.query('SELECT count(*) FROM item'))[0]?.rows, [['1000']]);
        assert.deepEqual((await connection.query('SELECT gid FROM pg_prepared_xacts'))[0]?.rows, [['held']]);
        await connection.close();
      });
    });

    it('recovers to the end of what there is', async () => {
      await withInstance({ recovery_target_timeline: '1' }, async (instance) => {
        const end = await instance.waitForEndOfRecovery();
        assert.ok(end.endLsn! > parseLsn(lastLsn), formatLsn(end.endLsn!));
        const connection = await instance.connect();
        assert.deepEqual((await connection.query('SELECT count(*) FROM item'))[0]?.rows, [['2000']]);
        await connection.close();
      });
    });

    /** A server that fails at once may do so before `startInstance` has returned. */
    const recover = (settings: Record<string, string>) =>
      withInstance(settings, async (instance) => {
        await instance.waitForEndOfRecovery().catch((error: unknown) => {
          assert.equal(isAlive(instance.pid), false);
          throw error;
        });
      });

    it('does not pass off an end that came too early for success', async () => {
      await assert.rejects(recover(toLsn('F/0')), { code: 'PG_RECOVERY_TARGET_NOT_REACHED' });
    });

    it('refuses a target before the end of the backup', async () => {
      await assert.rejects(recover(toLsn(formatLsn(startLsn + 1n))), { code: 'PG_RECOVERY_TARGET_TOO_EARLY' });
    });

    it('says why it ended when its WAL is missing', async () => {
      await assert.rejects(recover({ restore_command: 'false' }), {
        code: 'PG_INSTANCE_EXITED',
        message: /could not locate required checkpoint record/,
        detail: /Its last words: (?!.*backup_label)/,
      });
    });

    it('ends when restore_command says that it must not go on', async () => {
      await assert.rejects(recover({ restore_command: 'exit 126' }), {
        code: 'PG_INSTANCE_EXITED',
        message: /could not restore file/,
      });
    });

    it('runs under its own rules only, and gives back what was set aside', async () => {
      await withInstance({ recovery_target_timeline: '1' }, async (instance, dataDirectory) => {
        await instance.waitForEndOfRecovery();
        const connection = await instance.connect();
        const settings = Object.fromEntries(
          (await connection.query('SELECT name, setting FROM pg_settings'))[0]!.rows.map(([name, value]) => [
            name,
            value,
          ]),
        );
        assert.equal(settings.listen_addresses, '');
        assert.equal(settings.archive_mode, 'off');
        assert.equal(settings.shared_preload_libraries, '');
        assert.equal(settings.max_logical_replication_workers, '0');
        assert.equal(settings.synchronous_standby_names, '');
        assert.equal(settings.max_connections, '37');
        assert.equal(settings.max_prepared_transactions, '7');
        assert.equal(settings.hba_file, join(instance.target.host, 'pg_hba.conf'));
        if (major >= 17) assert.equal(settings.event_triggers, 'off');
        await connection.close();
        const inUse = await new Promise<boolean>((resolve) => {
          const probe = createConnection({ host: '127.0.0.1', port: instance.target.port });
          probe.once('connect', () => resolve(true)).once('error', () => resolve(false));
          probe.once('connect', () => probe.destroy());
        });
        if (inUse) assert.doesNotMatch(await readFile(instance.logPath, 'utf8'), /listening on IPv/);
        const automatic = join(dataDirectory, 'postgresql.auto.conf');
        assert.doesNotMatch(await readFile(automatic, 'utf8'), /4000GB/);
        await instance.stop();
        assert.match(await readFile(automatic, 'utf8'), /4000GB/);
        assert.deepEqual(await instance.exited, { code: 0, signal: null });
        assert.equal((await readControlFile(dataDirectory)).state, 'shut-down');
        await putBackConfiguration(dataDirectory);
        assert.match(await readFile(automatic, 'utf8'), /4000GB/);
      });
    });

    it('can be given up while it recovers', async () => {
      await withInstance({ restore_command: 'sleep 0.2; false', primary_conninfo: '' }, async (instance) => {
        const controller = new AbortController();
        const waiting = assert.rejects(instance.waitForEndOfRecovery({ signal: controller.signal }), {
          code: 'PG_CANCELLED',
        });
        controller.abort();
        await waiting;
        await instance.stop('immediate');
        assert.equal(isAlive(instance.pid), false);
      });
    });

    it('does not start on a directory that belongs to root, or with a broken pg_control', async () => {
      await assert.rejects(
        startInstance({
          dataDirectory: '/nowhere',
          binDirectory: server.binDirectory,
          runDirectory: join(scratch, 'r'),
        }),
        { code: runsAsRoot ? 'ENOENT' : 'PG_CONTROL_FILE_UNREADABLE' },
      );
      if (!runsAsRoot) return;
      const dataDirectory = join(scratch, 'roots');
      await mkdir(dataDirectory);
      await assert.rejects(
        startInstance({ dataDirectory, binDirectory: server.binDirectory, runDirectory: join(scratch, 'r') }),
        { code: 'PG_INSTANCE_OWNER_INVALID' },
      );
    });

    it('says that its programs cannot be run, or its socket path is too long', async () => {
      await assert.rejects(
        withInstance({}, async () => {}, { binDirectory: '/nowhere' }),
        { code: 'PG_INSTANCE_START_FAILED' },
      );
      await assert.rejects(
        withInstance({}, async () => {}, { runDirectory: join(scratch, 'x'.repeat(100)) }),
        { code: 'PG_SOCKET_PATH_TOO_LONG' },
      );
      await assert.rejects(
        withInstance({ no_such_setting: 'x' }, async () => {}),
        { code: 'PG_INSTANCE_EXITED' },
      );
    });
  });
}

describe('the programs of a server', () => {
  it('are found in a named directory, and their lack is explained', async () => {
    await using server = await startPostgres({ major: 14 });
    const found = await findServerBinaries(14, { directories: ['/nowhere', server.binDirectory], path: '' });
    assert.equal(found.binDirectory, server.binDirectory);
    assert.equal(found.version.major, 14);
    assert.equal((await findServerBinaries(14, { path: server.binDirectory })).binDirectory, server.binDirectory);
    await assert.rejects(findServerBinaries(99, { directories: [server.binDirectory], path: '' }), {
      code: 'PG_SERVER_BINARIES_NOT_FOUND',
      detail: /found postgres \(PostgreSQL\) 14\.\d+ in /,
    });
    await assert.rejects(findServerBinaries(99, { path: '' }), { code: 'PG_SERVER_BINARIES_NOT_FOUND' });
  });
});
