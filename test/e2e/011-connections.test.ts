import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import {
  type ConnectionTarget,
  type ConnectOptions,
  connect,
  parseConnectionString,
} from '../../src/postgres/index.ts';
import { EXPIRED, makeAuthority, type TestAuthority } from '../support/certificates.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import type { PostgresMajor } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

/** A server with TLS whose certificate is for "localhost", and an authority for it and for its clients. */
interface EncryptedServer {
  readonly server: PostgresServer;
  readonly authority: TestAuthority;
  readonly directory: string;
  readonly path: (name: string) => string;
  /** A connection string with the first words filled in. */
  readonly string: (words: string) => string;
  readonly read: (words: string) => ConnectionTarget;
  /** Puts lines before pg_hba.conf and waits until they are in force. */
  readonly letIn: (...lines: string[]) => Promise<void>;
  readonly present: (certificate: { certificate: string; key: string }) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

async function startEncrypted(major: PostgresMajor, settings: Record<string, string> = {}): Promise<EncryptedServer> {
  const directory = await makeScratchDirectory(`connections-${major}`);
  const authority = makeAuthority();
  const path = (name: string) => join(directory, name);
  const writeServerFiles = async ({ certificate, key }: { certificate: string; key: string }) => {
    await writeFile(path('server.crt'), certificate);
    await writeFile(path('server.key'), key, { mode: 0o600 });
    await giveToServerUser(path('server.crt'));
    await giveToServerUser(path('server.key'));
  };
  await mkdir(path('home/.postgresql'), { recursive: true });
  await writeFile(path('root.crt'), authority.certificate);
  await writeServerFiles(authority.issue(['localhost']));
  const files = { ssl_cert_file: path('server.crt'), ssl_key_file: path('server.key'), ssl_ca_file: path('root.crt') };
  const server = await startPostgres({ major, settings: { ssl: 'on', ...files, ...settings } });
  const rulesPath = join(server.dataDirectory, 'pg_hba.conf');
  const rules = await readFile(rulesPath, 'utf8');
  let reloads = 0;
  const reload = async () => {
    // The postmaster reads its files in one go: once the setting is seen in a new session, so is the rest.
    reloads += 1;
    await server.query(`ALTER SYSTEM SET work_mem = '${1024 + reloads}kB'`);
    await server.query('SELECT pg_reload_conf()');
    for (;;) {
      const [row] = await server.query<{ work_mem: string }>('SHOW work_mem');
      if (row!.work_mem === `${1024 + reloads}kB`) return;
    }
  };
  const string = (words: string) => `host=localhost port=${server.port} user=postgres dbname=postgres ${words}`;
  return {
    ...{ server, authority, directory, path, string },
    read: (words) => parseConnectionString(string(words), { variables: {}, homeDirectory: path('home') }),
    letIn: async (...lines) => {
      await writeFile(rulesPath, `${lines.join('\n')}\n${rules}`);
      await reload();
    },
    present: async (certificate) => {
      await writeServerFiles(certificate);
      await reload();
    },
    dispose: async () => {
      await server.dispose();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Whether a connection came to be encrypted. */
async function logIn(target: ConnectionTarget, options: ConnectOptions = {}): Promise<boolean> {
  const connection = await connect(target, options);
  await connection.close();
  return connection.isEncrypted;
}

describe('a client certificate', () => {
  let world: EncryptedServer;
  before(async () => {
    world = await startEncrypted(18);
    const { authority, path, server } = world;
    const client = authority.issue(['cert_user']);
    await writeFile(path('client.crt'), client.certificate);
    await writeFile(path('client.key'), client.key, { mode: 0o600 });
    const key = createPrivateKey(client.key);
    const locked = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' });
    await writeFile(path('locked.key'), locked, { mode: 0o600 });
    await writeFile(path('client.der'), key.export({ type: 'pkcs8', format: 'der' }), { mode: 0o600 });
    const stranger = makeAuthority('stranger').issue(['cert_user']);
    await writeFile(path('stranger.crt'), stranger.certificate);
    await writeFile(path('stranger.key'), stranger.key, { mode: 0o600 });
    await server.query('CREATE ROLE cert_user LOGIN REPLICATION');
    await world.letIn('hostssl all,replication cert_user 127.0.0.1/32 cert');
  });
  after(() => world?.dispose());

  const given = (words: string) =>
    world.read(`user=cert_user sslmode=verify-full sslrootcert=${world.path('root.crt')} ${words}`);
  const own = (key: string) => `sslcert=${world.path('client.crt')} sslkey=${world.path(key)}`;

  it('opens SQL and replication, with its key as PEM, DER or encrypted', async () => {
    for (const words of [own('client.key'), own('client.der'), `${own('locked.key')} sslpassword='open sesame'`]) {
      assert.equal(await logIn(given(words)), true);
      assert.equal(await logIn(given(words), { replication: 'physical' }), true);
    }
  });

  it('is found where libpq looks for it, and left out when told so', async () => {
    const home = world.path('home/.postgresql');
    for (const [from, to] of [
      ['client.crt', 'postgresql.crt'],
      ['client.key', 'postgresql.key'],
      ['root.crt', 'root.crt'],
    ]) {
      await writeFile(join(home, to!), await readFile(world.path(from!)), { mode: 0o600 });
    }
    assert.equal(await logIn(world.read('user=cert_user sslmode=verify-full')), true);
    await assert.rejects(logIn(world.read('user=cert_user sslmode=verify-full sslcertmode=disable')), {
      code: 'PG_ACCESS_DENIED',
      detail: /requires a valid client certificate/,
    });
    await rm(home, { recursive: true });
    await mkdir(home);
  });

  it('is refused by the server when another authority made it', async () => {
    const words = `sslcert=${world.path('stranger.crt')} sslkey=${world.path('stranger.key')}`;
    await assert.rejects(logIn(given(words)), { code: 'PG_TLS_FAILED' });
  });

  it('is not used with a key that others may read, that is missing, locked or of another one', async () => {
    await writeFile(world.path('open.key'), await readFile(world.path('client.key')), { mode: 0o644 });
    await chmod(world.path('open.key'), 0o644);
    const table: [string, RegExp][] = [
      [own('open.key'), /others may read it/],
      [own('none.key'), /could not read the key/],
      [own('stranger.key'), /with the key/],
      [`sslcert=${world.path('client.crt')}`, /its key is missing/],
      [`sslcert=${world.path('none.crt')}`, /could not read the client certificate/],
      [`sslcert=${world.path('client.key')} sslkey=${world.path('client.key')}`, /cannot read the client certificate/],
      [own('locked.key'), /cannot read the key/],
      [`${own('locked.key')} sslpassword=wrong`, /cannot read the key/],
    ];
    for (const [words, message] of table) {
      await assert.rejects(logIn(given(words)), { code: 'PG_TLS_FILE_UNUSABLE', message }, words);
    }
    await assert.rejects(logIn(given(`sslcert=${world.path('client.crt')} sslkey=pkcs11:key`)), {
      code: 'PG_CONNECTION_STRING_UNSUPPORTED',
    });
  });
});

describe("a server's certificate", () => {
  let world: EncryptedServer;
  before(async () => {
    world = await startEncrypted(18, { ssl_max_protocol_version: 'TLSv1.2' });
  });
  after(() => world?.dispose());

  const given = (words: string) => world.read(`password=${world.server.password} ${words}`);
  const root = () => `sslrootcert=${world.path('root.crt')}`;
  const refusal = (message: RegExp) => ({ code: 'PG_CERTIFICATE_REFUSED', message });

  it('is checked for its issuer and its name, as the mode says', async () => {
    assert.equal(await logIn(given(`sslmode=verify-full ${root()}`)), true);
    assert.equal(await logIn(given(`sslmode=verify-full hostaddr=127.0.0.1 ${root()}`)), true);
    assert.equal(await logIn(given(`sslmode=verify-full sslsni=0 ${root()}`)), true);
    assert.equal(await logIn(given(`sslmode=verify-ca host=127.0.0.1 ${root()}`)), true);
    await assert.rejects(
      logIn(given(`sslmode=verify-full host=127.0.0.1 ${root()}`)),
      refusal(/made for another name/),
    );
    await assert.rejects(logIn(given(`sslmode=verify-full host='' hostaddr=127.0.0.1 ${root()}`)), refusal(/has none/));
    await writeFile(world.path('other.crt'), makeAuthority('other').certificate);
    const other = `sslrootcert=${world.path('other.crt')}`;
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      await assert.rejects(logIn(given(`sslmode=${mode} ${other}`)), refusal(/issuer is not trusted/));
    }
    await assert.rejects(logIn(given('sslrootcert=system')), refusal(/issuer is not trusted/));
    // Weaker modes promise nothing, and go on in the clear.
    assert.equal(await logIn(given(`sslmode=prefer ${other}`)), false);
  });

  it('is checked by what the system trusts when that is asked for', async () => {
    const postgres = JSON.stringify(new URL('../../src/postgres/index.ts', import.meta.url).href);
    const script = `import { connect, parseConnectionString } from ${postgres};
      const connection = await connect(parseConnectionString(process.argv[1], { variables: {} }));
      console.log(connection.isEncrypted);
      await connection.close();`;
    const words = world.string(`sslrootcert=system password=${world.server.password}`);
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, words], {
      env: { ...process.env, SSL_CERT_FILE: world.path('root.crt') },
    });
    assert.equal(stdout.trim(), 'true');
  });

  it('cannot be checked without a root certificate that is there', async () => {
    await assert.rejects(logIn(given('sslmode=verify-ca')), {
      code: 'PG_TLS_FILE_UNUSABLE',
      message: /no root certificate/,
    });
    for (const mode of ['prefer', 'require', 'verify-full']) {
      await assert.rejects(logIn(given(`sslmode=${mode} sslrootcert=/nowhere/root.crt`)), {
        code: 'PG_TLS_FILE_UNUSABLE',
      });
    }
  });

  it('is refused when a revocation list has it', async () => {
    const { authority, path } = world;
    const server = { certificate: await readFile(path('server.crt'), 'utf8'), key: '' };
    await writeFile(path('none.crl'), authority.revoke());
    await writeFile(path('all.crl'), authority.revoke(server));
    await mkdir(path('lists'), { recursive: true });
    await writeFile(path('lists/0a1b2c3d.r0'), authority.revoke(server));
    assert.equal(await logIn(given(`sslmode=verify-ca ${root()} sslcrl=${path('none.crl')}`)), true);
    for (const list of [`sslcrl=${path('all.crl')}`, `sslcrldir=${path('lists')}`]) {
      await assert.rejects(logIn(given(`sslmode=verify-ca ${root()} ${list}`)), refusal(/it was revoked/), list);
    }
    for (const list of ['sslcrl=/nowhere', 'sslcrldir=/nowhere']) {
      await assert.rejects(logIn(given(`sslmode=verify-ca ${root()} ${list}`)), { code: 'PG_TLS_FILE_UNUSABLE' });
    }
    await writeFile(path('home/.postgresql/root.crl'), authority.revoke(server));
    await assert.rejects(logIn(given(`sslmode=verify-ca ${root()}`)), refusal(/it was revoked/));
    await rm(path('home/.postgresql/root.crl'));
  });

  it('is refused when it has expired', async () => {
    await world.present(world.authority.issue(['localhost'], EXPIRED));
    await assert.rejects(logIn(given(`sslmode=verify-full ${root()}`)), refusal(/it has expired/));
    assert.equal(await logIn(given('sslmode=require')), true);
    await world.present(world.authority.issue(['localhost']));
  });

  it('is not even seen when the two sides have no version of TLS in common', async () => {
    assert.equal(await logIn(given('sslmode=require ssl_max_protocol_version=TLSv1.2')), true);
    await assert.rejects(logIn(given('sslmode=require ssl_min_protocol_version=TLSv1.3')), { code: 'PG_TLS_FAILED' });
  });
});

describe('the way in', () => {
  let world: EncryptedServer;
  let old: EncryptedServer;
  before(async () => {
    world = await startEncrypted(18);
    old = await startEncrypted(14);
  });
  after(async () => {
    await world?.dispose();
    await old?.dispose();
  });

  const given = (words: string, of = world) => of.read(`password=${of.server.password} ${words}`);

  it('begins with TLS at once where the server knows that', async () => {
    assert.equal(await logIn(given('sslmode=require sslnegotiation=direct')), true);
    await assert.rejects(logIn(given('sslmode=require sslnegotiation=direct', old)), {
      code: 'PG_TLS_FAILED',
      hints: ['sslnegotiation=direct needs PostgreSQL 17 or later; leave it out for older servers.'],
    });
  });

  it('is tried with and without TLS, first as the mode says', async () => {
    for (const [rule, encrypted] of [
      ['hostssl', true],
      ['hostnossl', false],
    ] as const) {
      await world.letIn(
        `${rule} all,replication all 127.0.0.1/32 scram-sha-256`,
        'host all,replication all 127.0.0.1/32 reject',
      );
      assert.equal(await logIn(given('sslmode=allow')), encrypted);
      assert.equal(await logIn(given('sslmode=prefer')), encrypted);
      assert.equal(await logIn(given('sslmode=prefer'), { replication: 'physical' }), encrypted);
      const wrong = encrypted ? 'disable' : 'require';
      await assert.rejects(logIn(given(`sslmode=${wrong}`)), { code: 'PG_ACCESS_DENIED' });
      // Both ways fail, and the reason that counts is told, not the line that is missing for the other way.
      for (const mode of ['allow', 'prefer']) {
        await assert.rejects(logIn(world.read(`password=wrong sslmode=${mode}`)), { code: 'PG_AUTHENTICATION_FAILED' });
      }
    }
    await world.letIn();
    assert.equal(await logIn(given('sslmode=allow')), false);
    assert.equal(await logIn(given('sslmode=prefer')), true);
  });

  it('is only taken when the server asks for what require_auth says', async () => {
    for (const rule of ['scram-sha-256', 'scram-sha-256,md5', '!password', '!none']) {
      await logIn(given(`require_auth=${rule}`));
    }
    for (const rule of ['md5', 'password,md5', '!scram-sha-256', 'none']) {
      await assert.rejects(logIn(given(`require_auth=${rule}`)), { code: 'PG_AUTHENTICATION_REFUSED' }, rule);
    }
    await world.letIn('host all,replication all 127.0.0.1/32 trust');
    for (const rule of ['none', '!md5', 'none,md5']) await logIn(given(`require_auth=${rule}`));
    for (const rule of ['scram-sha-256', '!none']) {
      await assert.rejects(logIn(given(`require_auth=${rule}`)), { code: 'PG_AUTHENTICATION_REFUSED' }, rule);
    }
    await world.letIn('host all,replication all 127.0.0.1/32 password');
    await assert.rejects(logIn(given('sslmode=disable')), { code: 'PG_PASSWORD_UNSAFE' });
    assert.equal(await logIn(given('sslmode=require')), true);
    assert.equal(await logIn(given('sslmode=disable require_auth=password')), false);
    await world.letIn();
  });

  it('is told where a password file has the wrong password, or was passed over', async () => {
    const file = world.path('passwords');
    await writeFile(file, 'localhost:*:*:postgres:wrong\n', { mode: 0o600 });
    await assert.rejects(logIn(world.read(`passfile=${file}`)), {
      code: 'PG_AUTHENTICATION_FAILED',
      detail: /The password was taken from the password file ".*passwords"\.$/,
    });
    await chmod(file, 0o644);
    await assert.rejects(logIn(world.read(`passfile=${file}`)), { code: 'PG_PASSWORD_MISSING', detail: /chmod 0600/ });
    await writeFile(file, `localhost:*:replication:postgres:${world.server.password}\n`);
    await chmod(file, 0o600);
    await logIn(world.read(`passfile=${file}`), { replication: 'physical' });
    await assert.rejects(logIn(world.read(`passfile=${file}`)), { code: 'PG_PASSWORD_MISSING' });
  });

  it('leads through a socket in the abstract namespace', async () => {
    const name = `@holdfast-test-${process.pid}`;
    await old.server.stop();
    const settings = { unix_socket_directories: name };
    await using server = await startPostgres({ major: 14, dataDirectory: old.server.dataDirectory, settings });
    const target = parseConnectionString(`host=${name} port=${server.port} user=postgres dbname=postgres`, {
      variables: {},
    });
    assert.equal(await logIn(target.with({ password: server.password })), false);
    await assert.rejects(logIn(target.at({ host: `${name}-none`, port: 1 })), { code: 'PG_CONNECTION_REFUSED' });
    const long = target.at({ host: `/${'x'.repeat(100)}`, port: 5432 });
    await assert.rejects(logIn(long), { code: 'PG_SOCKET_PATH_TOO_LONG' });
  });
});
