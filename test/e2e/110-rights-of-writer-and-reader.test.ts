import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as s3 from '@aws-sdk/client-s3';
import { documentOf, runHoldfast, startHoldfast } from '../support/command-line.ts';
import { bucketPolicy } from '../support/documented-policies.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { type S3Server, type S3User, startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

const day = 86_400_000;
const prefix = 'shop';

describe('the documented rights in a bucket with locks', { skip: whyNoS3Server() }, () => {
  let store: S3Server;
  let database: PostgresServer;
  let scratch: string;
  let bucket: string;
  let [writer, reader, pruner]: S3User[] = [];
  const clients: s3.S3Client[] = [];

  const clientOf = (user?: S3User): s3.S3Client => {
    const client = store.client(user);
    clients.push(client);
    return client;
  };

  before(async () => {
    scratch = await makeScratchDirectory('rights');
    store = await startS3Server();
    database = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    await database.query('CREATE TABLE item AS SELECT n, md5(n::text) AS text FROM generate_series(1, 5000) n');
    bucket = await store.makeBucket({ objectLock: true });
    [writer, reader, pruner] = await Promise.all([store.makeUser(), store.makeUser(), store.makeUser()]);
    const policy = await bucketPolicy({ bucket, prefix }, [
      { arn: writer!.arn, policy: 'writer-ceph' },
      { arn: reader!.arn, policy: 'reader' },
      { arn: pruner!.arn, policy: 'pruner' },
    ]);
    await clientOf().send(new s3.PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(policy) }));
  });
  after(async () => {
    for (const client of clients) client.destroy();
    await database?.dispose();
    await store?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  /** Runs a command with the rights of one user. */
  async function surroundingsOf(user: S3User) {
    const location = `s3://${bucket}/${prefix}?region=${store.region}&endpoint=${encodeURIComponent(store.endpoint)}`;
    const plan = join(scratch, 'plan.json');
    const repository = { primary: { location, lock: '2d' }, passphrase: { env: 'PASS' } };
    await writeFile(plan, JSON.stringify({ cluster: { name: 'shop' }, repository }));
    const environment = {
      PASS: 'open, sesame street',
      DATABASE_URL: database.backupSocketUrl,
      HOLDFAST_STATE_DIR: join(scratch, `state-${user.name}`),
      AWS_ACCESS_KEY_ID: user.accessKeyId,
      AWS_SECRET_ACCESS_KEY: user.secretAccessKey,
    };
    return { plan, environment };
  }
  async function run(user: S3User, ...words: string[]) {
    const { plan, environment } = await surroundingsOf(user);
    const result = await runHoldfast([...words, '--plan', plan, '--json'], { environment });
    return { ...result, document: () => documentOf<Record<string, unknown>>(result) };
  }
  async function succeed(user: S3User, ...words: string[]): Promise<Record<string, unknown>> {
    const result = await run(user, ...words);
    assert.equal(result.code, 0, `${words.join(' ')}: ${result.stdout}${result.stderr}`);
    return result.document();
  }

  it('let a writer do all daily work, and lock what it stores', async () => {
    await succeed(writer!, 'repository', 'init');
    const first = await succeed(writer!, 'backup', '--checkpoint', 'fast');
    assert.ok(Date.parse(first.lockedUntil as string) > Date.now() + 31 * day);
    const { plan, environment } = await surroundingsOf(writer!);
    const stream = startHoldfast(['wal', 'stream', '--plan', plan, '--events'], { environment });
    try {
      await stream.said(/"event":/);
      await database.query('CREATE TABLE later AS SELECT 1 AS n');
      await database.query('SELECT pg_switch_wal()');
      await succeed(writer!, 'backup', '--checkpoint', 'fast');
    } finally {
      stream.child.kill('SIGINT');
      await stream.ended;
    }
    await succeed(writer!, 'verify', '--all');
    const list = await succeed(writer!, 'list');
    assert.equal((list.snapshots as unknown[]).length, 2);
    const locks = await succeed(writer!, 'repository', 'locks', '--all');
    assert.equal(locks.sound, true);
  });

  it('let a reader look, verify and restore', async () => {
    await succeed(reader!, 'list');
    await succeed(reader!, 'verify', '--read-only');
    await succeed(reader!, 'repository', 'locks');
    await succeed(reader!, 'restore', '--into', join(scratch, 'restored'), '--yes');
    assert.ok((await readdir(join(scratch, 'restored'))).includes('PG_VERSION'));
    const refused = await run(reader!, 'backup', '--checkpoint', 'fast');
    assert.equal(refused.code, 1);
    assert.equal((refused.document() as { error: { code: string } }).error.code, 'STORE_DENIED');
  });
});
