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
    const repository = { primary: { location, lock: '2d' }, keyFile: join(scratch, 'key') };
    await writeFile(plan, JSON.stringify({ clusters: [{ name: 'shop' }], repository }));
    const environment = {
      HOLDFAST_KEY_FILE: join(scratch, 'key'),
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
    await succeed(writer!, 'repository', 'init', '--generate-key-file', join(scratch, 'key'));
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
    await succeed(reader!, 'restore', '--read-only', '--into', join(scratch, 'restored'));
    assert.ok((await readdir(join(scratch, 'restored'))).includes('PG_VERSION'));
    const refused = await run(reader!, 'backup', '--checkpoint', 'fast');
    assert.equal(refused.code, 1);
    assert.equal((refused.document() as { error: { code: string } }).error.code, 'STORE_DENIED');
  });

  /** The names of objects as the store has them, one of each kind, with the key in the bucket. */
  async function oneOfEachKind(): Promise<string[]> {
    const { Contents = [] } = await clientOf().send(new s3.ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
    const kinds = new Map<string, string>();
    for (const { Key = '' } of Contents) {
      const kind = Key.replace(/[0-9a-fA-F]{8,}/g, '#');
      if (!Key.includes('/volatile/')) kinds.set(kind, Key);
    }
    return [...kinds.values()];
  }

  it('let neither of them do anything else', async () => {
    const [key = ''] = await oneOfEachKind();
    await clientOf().send(new s3.PutObjectCommand({ Bucket: bucket, Key: 'elsewhere', Body: 'x' }));
    const { Versions = [] } = await clientOf().send(new s3.ListObjectVersionsCommand({ Bucket: bucket, Prefix: key }));
    const object = { Bucket: bucket, Key: key };
    const version = { ...object, VersionId: Versions[0]!.VersionId };
    const later = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + 90 * day) } as const;
    const sooner = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + day) } as const;
    const ofBoth = (client: s3.S3Client): [string, () => Promise<unknown>][] => [
      ['delete', () => client.send(new s3.DeleteObjectCommand(object))],
      ['delete a version', () => client.send(new s3.DeleteObjectCommand(version))],
      [
        'delete an absent object',
        () => client.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key: `${prefix}/packs/none` })),
      ],
      [
        'shorten a lock',
        () =>
          client.send(
            new s3.PutObjectRetentionCommand({ ...object, Retention: sooner, BypassGovernanceRetention: true }),
          ),
      ],
      ['hold', () => client.send(new s3.PutObjectLegalHoldCommand({ ...object, LegalHold: { Status: 'ON' } }))],
      ['publish', () => client.send(new s3.PutObjectAclCommand({ ...object, ACL: 'public-read' }))],
      [
        'write beside it',
        () => client.send(new s3.PutObjectCommand({ Bucket: bucket, Key: 'elsewhere', Body: 'x', IfNoneMatch: '*' })),
      ],
      ['read beside it', () => client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: 'elsewhere' }))],
      ['delete the policy', () => client.send(new s3.DeleteBucketPolicyCommand({ Bucket: bucket }))],
      ['read the policy', () => client.send(new s3.GetBucketPolicyCommand({ Bucket: bucket }))],
      [
        'suspend versions',
        () =>
          client.send(
            new s3.PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Suspended' } }),
          ),
      ],
    ];
    const ofReader = (client: s3.S3Client): [string, () => Promise<unknown>][] => [
      [
        'write',
        () =>
          client.send(
            new s3.PutObjectCommand({ Bucket: bucket, Key: `${prefix}/packs/new`, Body: 'x', IfNoneMatch: '*' }),
          ),
      ],
      [
        'write what is volatile',
        () => client.send(new s3.PutObjectCommand({ Bucket: bucket, Key: `${prefix}/volatile/x`, Body: 'x' })),
      ],
      ['extend a lock', () => client.send(new s3.PutObjectRetentionCommand({ ...object, Retention: later }))],
    ];
    for (const [who, tries] of [
      ['writer', ofBoth(clientOf(writer))],
      ['reader', [...ofBoth(clientOf(reader)), ...ofReader(clientOf(reader))]],
    ] as const) {
      for (const [what, request] of tries) {
        const status = await request().then(
          () => 200,
          (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode,
        );
        assert.equal(status, 403, `${who}: ${what}`);
      }
    }
  });

  it('let a pruner delete what is not locked, and nothing else', async () => {
    const client = clientOf(pruner);
    const put = async (name: string) => {
      const Key = `${prefix}/${name}`;
      return {
        Key,
        ...(await client.send(new s3.PutObjectCommand({ Bucket: bucket, Key, Body: 'x', IfNoneMatch: '*' }))),
      };
    };
    const statusOf = (request: Promise<unknown>) =>
      request.then(
        () => 200,
        (error: { $metadata?: { httpStatusCode?: number } }) => error.$metadata?.httpStatusCode,
      );
    for (const kind of ['tombstones', 'snapshots/committed', 'snapshots/forgotten']) {
      const { Key, VersionId } = await put(`${kind}/${'ab'.repeat(32)}`);
      const deleted = client.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key, VersionId }));
      assert.equal(await statusOf(deleted), 200, kind);
    }
    const [locked = ''] = await oneOfEachKind();
    const { Versions = [] } = await client.send(new s3.ListObjectVersionsCommand({ Bucket: bucket, Prefix: locked }));
    const target = { Bucket: bucket, Key: locked, VersionId: Versions.at(-1)!.VersionId };
    assert.equal(
      await statusOf(client.send(new s3.DeleteObjectCommand({ ...target, BypassGovernanceRetention: true }))),
      403,
    );
    for (const name of ['snapshots/pending/forged', 'attest/forged', 'wal/forged', 'keys/forged'])
      assert.equal(await statusOf(put(name)), 403, name);
    assert.equal(await statusOf(client.send(new s3.DeleteBucketPolicyCommand({ Bucket: bucket }))), 403);
  });

  it('keep every object, old or new, from whoever owns the bucket until its lock ends', async () => {
    const owner = clientOf();
    const { Versions = [] } = await owner.send(new s3.ListObjectVersionsCommand({ Bucket: bucket }));
    const locked = Versions.filter(({ Key = '' }) => Key.startsWith(prefix) && !Key.includes('/volatile/'));
    assert.ok(locked.length > 20);
    for (const { Key, VersionId } of locked.filter((_, i) => i % 5 === 0)) {
      const request = owner.send(
        new s3.DeleteObjectCommand({ Bucket: bucket, Key, VersionId, BypassGovernanceRetention: true }),
      );
      await assert.rejects(request, { name: 'AccessDenied' }, Key);
    }
  });

  it('leave a thief nothing that loses a backup, as an attack shows, and the attack leaves nothing that disturbs', async () => {
    const result = await run(writer!, 'repository', 'attack-test');
    assert.equal(result.code, 0, result.stdout + result.stderr);
    const { safe, places, played } = result.document() as unknown as AttackDocument;
    assert.equal(safe, true);
    const outcomes = Object.fromEntries(places[0]!.attacks.map(({ attack, outcome }) => [attack, outcome]));
    const denied = [
      'delete',
      'delete-many',
      'delete-versions',
      'delete-elsewhere',
      'shorten-lock',
      'weaken-lock',
      'hold',
      'publish',
    ];
    const settings = [
      'suspend-versions',
      'change-policy',
      'change-lifecycle',
      'change-lock-settings',
      'change-access',
      'delete-place',
    ];
    for (const attack of [...denied, ...settings]) assert.equal(outcomes[attack], 'denied', attack);
    // Ceph knows no condition that could forbid these; readers take the oldest version, and locking for longer loses nothing.
    for (const attack of ['overwrite', 'overwrite-by-copy', 'overwrite-in-parts'])
      assert.equal(outcomes[attack], 'withstood', attack);
    assert.equal(outcomes['lock-for-long'], 'succeeded');
    assert.deepEqual(
      played.map(({ attack, outcome }) => [attack, outcome]),
      [
        ['plant-future-snapshot', 'noticed'],
        ['plant-index', 'withstood'],
        ['plant-index-with-key', 'noticed'],
        ['forge-proof', 'noticed'],
      ],
    );
    const verified = await succeed(writer!, 'verify', '--all');
    assert.deepEqual((verified.unreferenced as { foreign: string[] }).foreign, []);
  });

  it('are not needed for a restore to be right when every kind of object was overwritten and deleted by name', async () => {
    const owner = clientOf();
    const keys = await oneOfEachKind();
    assert.ok(keys.length >= 12, keys.join());
    for (const Key of keys) {
      await owner.send(new s3.PutObjectCommand({ Bucket: bucket, Key, Body: 'not what was stored' }));
      await owner.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key }));
      await owner.send(new s3.PutObjectCommand({ Bucket: bucket, Key, Body: 'nor this' }));
    }
    for (const Key of keys.filter((_, i) => i % 2 === 0))
      await owner.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key }));
    const verified = await succeed(reader!, 'verify', '--all', '--read-only');
    assert.equal(verified.sound, true);
    const locks = await run(reader!, 'repository', 'locks');
    assert.equal(locks.code, 3);
    const [tampering] = locks.document().tampering as { place: string; count: number }[];
    assert.deepEqual(
      [tampering?.place, tampering?.count],
      ['primary', keys.filter((key) => !/fragments|attack-/.test(key)).length],
    );
    const into = join(scratch, 'restored-after-attacks');
    await succeed(reader!, 'restore', '--read-only', '--into', into);
    assert.ok((await readdir(into)).includes('PG_VERSION'));
    await succeed(writer!, 'backup', '--checkpoint', 'fast');
  });

  it('are found wanting by an attack where they are not given', async () => {
    const bad = await store.makeBucket({ versioning: true });
    const thief = await store.makeUser();
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: [thief.arn] },
          Action: 's3:*',
          Resource: [`arn:aws:s3:::${bad}`, `arn:aws:s3:::${bad}/*`],
        },
      ],
    });
    await clientOf().send(new s3.PutBucketPolicyCommand({ Bucket: bad, Policy }));
    const lifecycle = {
      Rules: [
        { ID: 'old', Status: 'Enabled', Filter: { Prefix: 'x/' }, NoncurrentVersionExpiration: { NoncurrentDays: 9 } },
      ],
    } as const;
    await clientOf().send(
      new s3.PutBucketLifecycleConfigurationCommand({
        Bucket: bad,
        LifecycleConfiguration: { Rules: [...lifecycle.Rules] },
      }),
    );
    const { environment } = await surroundingsOf(thief);
    const location = `s3://${bad}?region=${store.region}&endpoint=${encodeURIComponent(store.endpoint)}`;
    assert.equal((await runHoldfast(['repository', 'init', '--repository', location], { environment })).code, 0);
    const result = await runHoldfast(['repository', 'attack-test', '--repository', location, '--json'], {
      environment,
    });
    assert.equal(result.code, 3, result.stderr);
    const { safe, places } = documentOf<AttackDocument>(result);
    assert.equal(safe, false);
    const found = places[0]!.attacks.filter(({ dangerous }) => dangerous).map(({ attack }) => attack);
    for (const attack of [
      'delete-versions',
      'suspend-versions',
      'change-policy',
      'change-lifecycle',
      'change-lock-settings',
      'change-access',
    ])
      assert.ok(found.includes(attack), `${attack} among ${found}`);
    const owner = clientOf();
    const { Rules } = await owner.send(new s3.GetBucketLifecycleConfigurationCommand({ Bucket: bad }));
    assert.equal(Rules?.[0]?.ID, 'old');
    assert.equal((await owner.send(new s3.GetBucketVersioningCommand({ Bucket: bad }))).Status, 'Enabled');
    assert.equal((await owner.send(new s3.GetBucketPolicyCommand({ Bucket: bad }))).Policy, Policy);
    // And a backup that is to be locked there is refused before anything is written.
    const { KeyCount: before } = await owner.send(new s3.ListObjectsV2Command({ Bucket: bad }));
    const plan = join(scratch, 'bad-plan.json');
    await writeFile(
      plan,
      JSON.stringify({ clusters: [{ name: 'shop' }], repository: { primary: { location, lock: '2d' } } }),
    );
    const refused = await runHoldfast(['backup', '--plan', plan, '--json'], { environment });
    assert.equal(documentOf<{ error: { code: string } }>(refused).error.code, 'STORE_LOCK_ABSENT', refused.stderr);
    assert.equal((await owner.send(new s3.ListObjectsV2Command({ Bucket: bad }))).KeyCount, before);
    const verified = await runHoldfast(['verify', '--all', '--repository', location], { environment });
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  });

  it('cannot be given on a disk, which an attack says', async () => {
    const environment = {
      HOLDFAST_REPOSITORY: join(scratch, 'on-disk'),
      HOLDFAST_KEY_FILE: join(scratch, 'key'),
      HOLDFAST_STATE_DIR: join(scratch, 'state-disk'),
    };
    assert.equal((await runHoldfast(['repository', 'init'], { environment })).code, 0);
    const result = await runHoldfast(['repository', 'attack-test', '--json'], { environment });
    assert.equal(result.code, 3, result.stderr);
    const { places } = documentOf<AttackDocument>(result);
    assert.deepEqual(
      places[0]!.attacks.map(({ attack, outcome }) => [attack, outcome]),
      [
        ['overwrite', 'succeeded'],
        ['overwrite-by-copy', 'succeeded'],
        ['delete', 'succeeded'],
      ],
    );
    assert.equal((await runHoldfast(['verify', '--all'], { environment })).code, 0);
  });
});

interface AttackDocument {
  safe: boolean;
  places: { place: string; attacks: { attack: string; outcome: string; dangerous: boolean }[] }[];
  played: { attack: string; outcome: string }[];
}
