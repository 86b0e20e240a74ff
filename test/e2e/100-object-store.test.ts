import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { GetObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import pg from 'pg';
import { systemClock } from '../../src/lib/index.ts';
import { makeAuthority } from '../support/certificates.ts';
import { type CommandRun, documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { isAlive } from '../support/processes.ts';
import { type S3Server, startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { startTunnelProxy, type TunnelProxy } from '../support/tunnel-proxy.ts';

describe('a repository in S3', { skip: whyNoS3Server() }, () => {
  const stack = new AsyncDisposableStack();
  let store: S3Server;
  let secure: FaultProxy;
  let gateway: TunnelProxy;
  let database: PostgresServer;
  let scratch: string;
  let caFile: string;
  const said: CommandRun[] = [];
  const letter = randomBytes(1500);
  let bucketInUse: string;

  before(async () => {
    scratch = await makeScratchDirectory('object-store');
    stack.defer(() => rm(scratch, { recursive: true, force: true }));
    store = await startS3Server();
    stack.defer(() => store.stop());
    const authority = makeAuthority();
    const { certificate, key } = authority.issue(['127.0.0.1']);
    caFile = join(scratch, 'authority.pem');
    await writeFile(caFile, authority.certificate);
    secure = stack.use(await startFaultProxy({ target: store.endpoint, tls: { key, cert: certificate } }));
    gateway = stack.use(await startTunnelProxy());
    database = stack.use(await startPostgres({ major: 18, walSegmentSizeMb: 1 }));
    await database.query('CREATE TABLE letters_to_anna (letter bytea STORAGE EXTERNAL)');
    await database.query(`INSERT INTO letters_to_anna VALUES ('\\x${letter.toString('hex')}')`);
    await database.query('CREATE TABLE item AS SELECT n, md5(n::text) AS text FROM generate_series(1, 20000) n');
  });
  after(() => stack.disposeAsync());

  const environmentOf = (location: string, more: Readonly<Record<string, string>> = {}) => ({
    HOLDFAST_REPOSITORY: location,
    HOLDFAST_PASSPHRASE: 'open, sesame street',
    HOLDFAST_STATE_DIR: join(scratch, 'state'),
    HOLDFAST_CLUSTER: 'shop',
    DATABASE_URL: database.backupSocketUrl,
    AWS_ACCESS_KEY_ID: store.admin.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.admin.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_CONFIG_FILE: '/dev/null',
    ...more,
  });

  async function run(environment: Record<string, string>, ...words: string[]): Promise<CommandRun> {
    const ended = await runHoldfast([...words, '--json'], { environment });
    said.push(ended);
    return ended;
  }

  async function succeed<T>(environment: Record<string, string>, ...words: string[]): Promise<T> {
    const ended = await run(environment, ...words);
    assert.equal(ended.code, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`);
    return documentOf<T>(ended);
  }

  async function namesIn(bucket: string): Promise<string[]> {
    const client = store.client();
    try {
      const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
      return Versions.map(({ Key }) => Key!);
    } finally {
      client.destroy();
    }
  }

  it('is made, backed up to, streamed to, verified and restored from, over TLS and a proxy', async () => {
    const bucket = await store.makeBucket({ versioning: true });
    bucketInUse = bucket;
    const address = `s3://${bucket}/eu/shop?region=${store.region}&endpoint=${secure.endpoint}&caFile=${caFile}&proxy=${gateway.address}`;
    const environment = environmentOf(address);
    await succeed(environment, 'repository', 'init');
    const stream = startHoldfast(['wal', 'stream', '--events'], { environment });
    try {
      await stream.said(/"event":/);
      await succeed(environment, 'backup', '--checkpoint', 'fast');
      await database.query('CREATE TABLE later AS SELECT n FROM generate_series(1, 5000) n; SELECT pg_switch_wal()');
      await database.query('INSERT INTO later VALUES (0); INSERT INTO letters_to_anna SELECT * FROM letters_to_anna');
      await untilDurable(database);
    } finally {
      stream.child.kill('SIGINT');
      said.push(await stream.ended);
    }
    const { snapshots } = await succeed<{ snapshots: unknown[] }>(environment, 'list');
    assert.equal(snapshots.length, 1);
    await succeed(environment, 'verify');
    const doctor = await run(environment, 'doctor');
    assert.deepEqual(storeProblems(doctor), []);

    const into = join(scratch, 'restored');
    const restored = await succeed<{ instance: { pid: number; socketDirectory: string; port: number } }>(
      environment,
      ...['restore', '--into', into, '--start', '--bin-dir', database.binDirectory],
    );
    const { pid, socketDirectory, port } = restored.instance;
    try {
      const client = new pg.Client({ host: socketDirectory, port, user: 'postgres', database: 'postgres' });
      await client.connect();
      const question =
        "SELECT (SELECT md5(string_agg(text, '' ORDER BY n)) FROM item), (SELECT sum(n)::int FROM later)";
      const { rows } = await client.query({ text: question, rowMode: 'array' });
      await client.end();
      const [expected] = await database.query<{ md5: string }>("SELECT md5(string_agg(text, '' ORDER BY n)) FROM item");
      assert.deepEqual(rows, [[expected!.md5, 12_502_500]]);
    } finally {
      process.kill(pid, 'SIGINT');
      while (isAlive(pid)) await systemClock.sleep(20);
      await rm(socketDirectory, { recursive: true, force: true });
    }

    assert.ok(gateway.tunnels > 0, 'the proxy was used');
    // Each of seven commands opens a few connections, through which all of its requests go.
    assert.ok(gateway.tunnels < secure.requests / 2, `${gateway.tunnels} tunnels for ${secure.requests} requests`);
    for (const name of await namesIn(bucket)) assert.match(name, /^eu\/shop\//);
    const outputs = said.map(({ stdout, stderr }) => stdout + stderr).join('');
    assert.ok(!outputs.includes(store.admin.secretAccessKey), 'no secret is told');
  });

  it('shows nothing of what is in it to whoever has the bucket alone', async () => {
    const [{ path } = { path: '' }] = await database.query<{ path: string }>(
      "CHECKPOINT; SELECT pg_relation_filepath('letters_to_anna') AS path",
    );
    const file = await readFile(join(database.dataDirectory, path));
    const pieces = Array.from({ length: 90 }, (_, i) => letter.subarray(i * 16, i * 16 + 16));
    const names = ['letters_to_anna', 'open, sesame street', 'pg_control', 'postgres'].map((name) => Buffer.from(name));
    const seenIn = (bytes: Buffer) => [...pieces, ...names].filter((piece) => bytes.includes(piece));
    assert.ok(seenIn(file).length >= pieces.length, 'it is seen where it lies in the clear');
    assert.ok(seenIn(zstdCompressSync(file)).length > 0, 'and where it is compressed alone');
    const client = store.client();
    try {
      const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucketInUse }));
      const kinds = new Set(Versions.map(({ Key }) => Key!.split('/')[2]));
      for (const kind of ['packs', 'index', 'snapshots', 'wal', 'ledger', 'keys', 'format']) assert.ok(kinds.has(kind));
      for (const { Key, VersionId } of Versions) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucketInUse, Key, VersionId }));
        const seen = seenIn(Buffer.from(await Body!.transformToByteArray())).map((piece) => piece.toString('latin1'));
        assert.deepEqual(seen, [], Key);
      }
    } finally {
      client.destroy();
    }
  });

  it('that cannot be reached is refused before any harm, each cause under its own name', async () => {
    const bucket = await store.makeBucket();
    const plain = (name: string) => `s3://${name}/shop?endpoint=${store.endpoint}`;
    const user = await store.makeUser();
    const userKeys = { AWS_ACCESS_KEY_ID: user.accessKeyId, AWS_SECRET_ACCESS_KEY: user.secretAccessKey };
    for (const [code, location, more] of [
      ['STORE_ABSENT', plain('no-such-bucket'), {}],
      ['STORE_DENIED', plain(bucket), userKeys],
      ['STORE_CREDENTIALS_REJECTED', plain(bucket), { AWS_SECRET_ACCESS_KEY: 'wrong' }],
      ['STORE_CREDENTIALS_ABSENT', plain(bucket), { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' }],
      ['STORE_REGION_WRONG', `s3://${bucket}/shop`, {}],
      ['STORE_TLS_UNTRUSTED', `s3://${bucket}/shop?endpoint=${secure.endpoint}`, {}],
      ['STORE_LOCATION_INVALID', `s3://${bucket}/shop?endpoint=${secure.endpoint}&caFile=/none.pem`, {}],
      ['STORE_LOCATION_INVALID', `s3://ann:wonderland@${bucket}/shop`, {}],
    ] as const) {
      for (const words of code === 'STORE_ABSENT' ? [['repository', 'init'], ['list']] : [['repository', 'init']]) {
        const ended = await run(environmentOf(location, more), ...words);
        assert.ok(ended.code === 1 || ended.code === 2, `${code} ${words}: ${ended.code}`);
        const { error } = documentOf<{ error: { code: string; hints: string[]; detail: string } }>(ended);
        const isAbsent = code === 'STORE_ABSENT' && words[0] === 'list';
        assert.equal(error.code, isAbsent ? 'REPOSITORY_ABSENT' : code, ended.stdout);
        assert.ok(error.hints.length > 0 && error.detail !== '');
        assert.ok(!(ended.stdout + ended.stderr).includes('wonderland'));
      }
    }
    assert.deepEqual(await namesIn(bucket), []);
  });
});

/** Settled when all that the server has flushed is durable in the repository: a receiver reports nothing sooner. */
async function untilDurable(database: PostgresServer): Promise<void> {
  const [target] = await database.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
  for (let tries = 0; tries < 600; tries++) {
    const question = `SELECT coalesce(bool_or(flush_lsn >= '${target!.lsn}'), false) AS durable FROM pg_stat_replication`;
    const [row] = await database.query<{ durable: boolean }>(question);
    if (row?.durable === true) return;
    await systemClock.sleep(50);
  }
  throw new Error('the receiver did not make the WAL durable in half a minute');
}

function storeProblems(doctor: CommandRun): unknown[] {
  const { checks } = documentOf<{ checks: { code: string; verdict: string; sentence: string }[] }>(doctor);
  return checks.filter(({ code, verdict }) => code.startsWith('store') && verdict === 'problem');
}
