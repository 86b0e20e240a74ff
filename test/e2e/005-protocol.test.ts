import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ConnectionTarget, connect, parseConnectionString, showSetting } from '../../src/postgres/index.ts';
import { makeAuthority } from '../support/certificates.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const target = (url: string): ConnectionTarget =>
  parseConnectionString(url, { variables: {}, homeDirectory: '/nowhere' });

for (const major of postgresMajors) {
  describe(`a conversation with PostgreSQL ${major}`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await startPostgres({ major });
    });
    after(() => server.dispose());

    it('begins with SCRAM over TCP and over the Unix socket', async () => {
      for (const url of [server.url, server.socketUrl]) {
        const connection = await connect(target(url));
        const [result] = await connection.query("SELECT 1 AS one, NULL AS nothing, 'ü' AS text");
        assert.deepEqual(result?.rows, [['1', null, 'ü']]);
        assert.equal(connection.serverVersion.major, major);
        await connection.close();
      }
    });

    it('names a wrong password, a role without rights, and a database that is not there', async () => {
      await assert.rejects(connect(target(server.url).with({ password: 'wrong' })), {
        code: 'PG_AUTHENTICATION_FAILED',
        sqlState: '28P01',
      });
      await assert.rejects(connect(target(server.url).with({ database: 'nowhere' })), {
        code: 'PG_DATABASE_NOT_FOUND',
      });
      await server.query("CREATE ROLE weak LOGIN PASSWORD 'weak'");
      const weak = target(server.url).with({ user: 'weak', password: 'weak' });
      await assert.rejects(connect(weak, { replication: 'physical' }), { sqlState: '42501' });
      await server.query('ALTER DATABASE postgres CONNECTION LIMIT 0');
      await assert.rejects(connect(weak), { code: 'PG_TOO_MANY_CONNECTIONS', retryable: true });
      await server.query('ALTER DATABASE postgres CONNECTION LIMIT -1');
    });

    it('goes on after an error, and carries large results', async () => {
      const connection = await connect(target(server.socketUrl));
      await assert.rejects(connection.query('SELECT 1/0'), { code: 'PG_SERVER_ERROR', sqlState: '22012' });
      const [result] = await connection.query("SELECT repeat('x', 5000000), g FROM generate_series(1, 3) g");
      assert.deepEqual(
        result?.rows.map((row) => row[0]?.length),
        [5_000_000, 5_000_000, 5_000_000],
      );
      await assert.rejects(connection.query("SELECT repeat('x', 30000000) FROM generate_series(1, 3)"), {
        code: 'PG_RESULT_TOO_LARGE',
      });
      assert.equal(connection.isOpen, false);
    });

    it('can be cancelled', async () => {
      const connection = await connect(target(server.url));
      let isOver = false;
      const query = assert.rejects(connection.query('SELECT pg_sleep(600)'), { sqlState: '57014' }).finally(() => {
        isOver = true;
      });
      // A request that comes before the query has begun cancels nothing.
      while (!isOver) await connection.cancel();
      await query;
      assert.deepEqual((await connection.query('SELECT 1'))[0]?.rows, [['1']]);
      await connection.close();
    });

    it('reads settings also over a connection for replication', async () => {
      const connection = await connect(target(server.backupUrl), { replication: 'physical' });
      assert.equal(await showSetting(connection, 'wal_segment_size'), '16MB');
      await assert.rejects(showSetting(connection, 'no_such_setting'), { sqlState: '42704' });
      await connection.close();
    });

    it('ends with the words of a server that is stopped', async () => {
      await using stopping = await startPostgres({ major });
      const connection = await connect(target(stopping.url));
      const query = assert.rejects(connection.query('SELECT pg_sleep(600)'), { sqlState: '57P01', retryable: true });
      await stopping.stop('fast');
      await query;
      await assert.rejects(connect(target(stopping.url)), { code: 'PG_CONNECTION_REFUSED', retryable: true });
    });
  });
}

describe('older logins', () => {
  it('by MD5 work, and a password in the clear is only sent where nobody can listen', async () => {
    await using server = await startPostgres({ major: 14 });
    await server.query("SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'secret'");
    const path = join(server.dataDirectory, 'pg_hba.conf');
    const rules = await readFile(path, 'utf8');
    const logIn = async (url: string) => {
      const connection = await connect(target(url).with({ user: 'old', password: 'secret' }));
      await connection.close();
    };
    await writeFile(path, `local all old md5\nhost all old 127.0.0.1/32 md5\n${rules}`);
    await server.query('SELECT pg_reload_conf()');
    await untilReloaded(() => logIn(server.url));
    await logIn(server.socketUrl);
    await writeFile(path, `local all old password\nhost all old 127.0.0.1/32 password\n${rules}`);
    await server.query('SELECT pg_reload_conf()');
    await untilReloaded(() => assert.rejects(logIn(server.url), { code: 'PG_PASSWORD_UNSAFE' }));
    await logIn(server.socketUrl);
  });
});

/** The postmaster reads its rules a moment after it was asked to. */
async function untilReloaded(check: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await check();
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

for (const major of postgresMajors) {
  describe(`TLS with PostgreSQL ${major}`, () => {
    let directory: string;
    let server: PostgresServer;
    const authority = makeAuthority();
    before(async () => {
      directory = await makeScratchDirectory('tls');
      const { certificate, key } = authority.issue(['localhost']);
      await writeFile(join(directory, 'server.crt'), certificate);
      await writeFile(join(directory, 'server.key'), key, { mode: 0o600 });
      await writeFile(join(directory, 'root.crt'), authority.certificate);
      await writeFile(join(directory, 'other.crt'), makeAuthority('another').certificate);
      await giveToServerUser(directory);
      server = await startPostgres({
        major,
        directory,
        settings: {
          ssl: 'on',
          ssl_cert_file: join(directory, 'server.crt'),
          ssl_key_file: join(directory, 'server.key'),
        },
      });
    });
    after(async () => {
      await server.dispose();
      await rm(directory, { recursive: true });
    });

    const login = async (
      sslMode: 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full',
      host: string,
      root?: string,
    ) => {
      const tls = root === undefined ? {} : { rootCertificate: join(directory, root) };
      const connection = await connect(target(server.url).with({ sslMode, tls }).at({ host, port: server.port }));
      const [result] = await connection.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
      await connection.close();
      assert.equal(result?.rows[0]?.[0], connection.isEncrypted ? 't' : 'f');
      return connection.isEncrypted;
    };

    it('is used where the server offers it, and not asked for otherwise', async () => {
      assert.equal(await login('prefer', '127.0.0.1'), true);
      assert.equal(await login('require', '127.0.0.1'), true);
      assert.equal(await login('disable', '127.0.0.1'), false);
    });

    it('checks the chain, and the name only where it is asked to', async () => {
      assert.equal(await login('verify-ca', '127.0.0.1', 'root.crt'), true);
      assert.equal(await login('verify-full', 'localhost', 'root.crt'), true);
      const refused = [
        ['verify-full', '127.0.0.1', 'root.crt'],
        ['verify-ca', '127.0.0.1', 'other.crt'],
        ['require', '127.0.0.1', 'other.crt'],
      ] as const;
      for (const [sslMode, host, root] of refused) {
        await assert.rejects(
          login(sslMode, host, root),
          { code: 'PG_CERTIFICATE_REFUSED' },
          `${sslMode} ${host} ${root}`,
        );
      }
      await assert.rejects(login('verify-ca', '127.0.0.1'), { code: 'PG_TLS_FILE_UNUSABLE' });
    });

    it('binds the login to the certificate', async () => {
      const bound = target(server.url).with({ sslMode: 'require', channelBinding: 'require' });
      const connection = await connect(bound);
      await connection.close();
      await assert.rejects(connect(bound.with({ sslMode: 'disable' })), { code: 'PG_CHANNEL_BINDING_IMPOSSIBLE' });
    });

    it('carries a request to cancel as well', async () => {
      const connection = await connect(target(server.url).with({ sslMode: 'require' }));
      let isOver = false;
      const query = assert.rejects(connection.query('SELECT pg_sleep(600)'), { sqlState: '57014' }).finally(() => {
        isOver = true;
      });
      while (!isOver) await connection.cancel();
      await query;
      await connection.close();
    });

    it('carries a large copy whole', async () => {
      const connection = await connect(target(server.url));
      assert.equal(connection.isEncrypted, true);
      let bytes = 0;
      await connection.execute("COPY (SELECT repeat('x', 100000) FROM generate_series(1, 500)) TO STDOUT", {
        onCopyData: async (view) => {
          await null;
          bytes += view.length;
        },
      });
      assert.equal(bytes, 500 * 100_001);
      await connection.close();
    });
  });
}
