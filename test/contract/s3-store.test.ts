import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, mock } from 'node:test';
import { inspect } from 'node:util';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { HoldfastError, Secret, systemClock } from '../../src/lib/index.ts';
import {
  newSpoolPath,
  type ObjectStore,
  openS3Store,
  openStore,
  parseS3Location,
  readProved,
  retrying,
  type S3StoreOptions,
  type StoreCredentials,
} from '../../src/repository/object-store/index.ts';
import { makeAuthority } from '../support/certificates.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { plannedFault } from '../support/http-fault.ts';
import { scratchFor } from '../support/memory-repository.ts';
import { type S3Keys, type S3Server, startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { startTunnelProxy } from '../support/tunnel-proxy.ts';
import { describeObjectStore } from './object-store.ts';

describe('the S3 store', { skip: whyNoS3Server() }, () => {
  let server: S3Server;
  let outside: S3Client;
  const buckets = { plain: '', versioned: '', locked: '' };

  before(async () => {
    server = await startS3Server();
    outside = server.client();
    buckets.plain = await server.makeBucket();
    buckets.versioned = await server.makeBucket({ versioning: true });
    buckets.locked = await server.makeBucket({ objectLock: true });
  });

  after(async () => {
    outside?.destroy();
    await server?.stop();
  });

  const credentialsOf = ({ accessKeyId, secretAccessKey }: S3Keys): StoreCredentials => ({
    kind: 'access-key',
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
  });
  const newPrefix = () => `p-${randomBytes(8).toString('hex')}`;

  /** A store under a prefix of its own, and the key that a name has in the bucket. */
  function openIn(bucket: string, options: Partial<S3StoreOptions> & { parameters?: string } = {}) {
    const prefix = newPrefix();
    const location = `s3://${bucket}/${prefix}/deep?endpoint=${server.endpoint}${options.parameters ?? ''}`;
    const credentials = credentialsOf(server.admin);
    const store = openS3Store(parseS3Location(location), { clock: systemClock, credentials, pageSize: 5, ...options });
    return { store, location, bucket, keyOf: (name: string) => `${prefix}/deep/${name}` };
  }

  const slow = { runs: 4 };
  describeObjectStore('the S3 store', async () => openIn(buckets.plain).store, slow);
  describeObjectStore(
    'the S3 store on a bucket that keeps versions',
    async () => openIn(buckets.versioned).store,
    slow,
  );
  describeObjectStore(
    'the S3 store with few rights of the server, a limited rate and repetition around it',
    async (test) => {
      const scratchDirectory = await scratchFor(test, 's3');
      const parameters = '&checksums=when-required&maxRate=20MiB';
      return retrying(openIn(buckets.plain, { parameters, scratchDirectory }).store, { clock: systemClock });
    },
    slow,
  );

  describe('in a bucket that keeps versions', () => {
    const put = (place: { bucket: string; keyOf: (name: string) => string }, name: string, body: string) =>
      outside.send(new PutObjectCommand({ Bucket: place.bucket, Key: place.keyOf(name), Body: body }));
    const mark = (place: { bucket: string; keyOf: (name: string) => string }, name: string) =>
      outside.send(new DeleteObjectCommand({ Bucket: place.bucket, Key: place.keyOf(name) }));
    const namesOf = async (store: ObjectStore, prefix: string, options = {}) => {
      const names: string[] = [];
      for await (const { name } of store.list(prefix, options)) names.push(name);
      return names;
    };

    it('gives the oldest version of a name, whatever was put or deleted over it', async () => {
      const place = openIn(buckets.versioned);
      const { store } = place;
      for (const name of ['packs/a', 'packs/b', 'packs/c']) await store.putIfAbsent(name, Buffer.from(`true ${name}`));
      const before = await store.stat('packs/b');
      for (let i = 0; i < 7; i++) await put(place, 'packs/b', `planted ${i}, and longer than what was there`);
      await mark(place, 'packs/b');
      await mark(place, 'packs/c');
      await put(place, 'packs/c', 'planted over a marker');

      // One that knows them from writing, and one that has never seen them.
      for (const reader of [store, openS3Store(parseS3Location(locationOf(place)), readerOptions())]) {
        assert.equal((await reader.get('packs/b')).toString(), 'true packs/b');
        assert.equal((await reader.getRange('packs/b', 5, 7)).toString(), 'packs/b');
        assert.equal((await reader.get('packs/c')).toString(), 'true packs/c');
        assert.deepEqual(await reader.stat('packs/b'), before);
        assert.deepEqual(await namesOf(reader, 'packs/'), ['packs/a', 'packs/b', 'packs/c']);
        assert.deepEqual(await namesOf(reader, '', { startAfter: 'packs/b' }), ['packs/c']);
        for await (const { size } of reader.list('packs/')) assert.equal(size, 12);
      }
      assert.equal(await store.putIfAbsent('packs/c', Buffer.from('again')), 'exists');
      await mark(place, 'packs/a');
      assert.equal(await store.putIfAbsent('packs/a', Buffer.from('under a marker')), 'exists');
      assert.equal((await store.get('packs/a')).toString(), 'true packs/a');
    });

    it('deletes every version and every marker, so that nothing comes back to life', async () => {
      const place = openIn(buckets.versioned);
      await place.store.putIfAbsent('wal/x/y/fragments/1', Buffer.from('x'));
      await put(place, 'wal/x/y/fragments/1', 'y');
      await mark(place, 'wal/x/y/fragments/1');
      await place.store.delete('wal/x/y/fragments/1');
      const left = await outside.send(new ListObjectVersionsCommand({ Bucket: place.bucket, Prefix: place.keyOf('') }));
      assert.deepEqual([left.Versions ?? [], left.DeleteMarkers ?? []], [[], []]);
      assert.equal(await place.store.stat('wal/x/y/fragments/1'), null);
      await place.store.putIfAbsent('wal/x/y/fragments/1', Buffer.from('z'));
      assert.equal((await place.store.get('wal/x/y/fragments/1')).toString(), 'z');
    });

    it('hides fragments under a marker from plain listings only, and never hides anything else', async () => {
      const place = openIn(buckets.versioned);
      for (const name of ['wal/x/y/fragments/1', 'wal/x/y/fragments/2', 'wal/x/y/segments/1']) {
        await place.store.putIfAbsent(name, Buffer.from('x'));
      }
      await mark(place, 'wal/x/y/fragments/1');
      await mark(place, 'wal/x/y/segments/1');
      assert.deepEqual(await namesOf(place.store, 'wal/'), ['wal/x/y/fragments/2', 'wal/x/y/segments/1']);
      assert.deepEqual(await namesOf(place.store, 'wal/', { hidden: true }), [
        'wal/x/y/fragments/1',
        'wal/x/y/fragments/2',
        'wal/x/y/segments/1',
      ]);
      assert.equal((await place.store.get('wal/x/y/fragments/1')).toString(), 'x');
    });

    it('takes the newest version of volatile names, and a marker there for absence', async () => {
      const { store } = openIn(buckets.versioned);
      await store.putVolatile('volatile/leases/a', Buffer.from('1'));
      await store.putVolatile('volatile/leases/a', Buffer.from('22'));
      await store.putVolatile('volatile/leases/b', Buffer.from('1'));
      await store.delete('volatile/leases/b');
      assert.equal((await store.get('volatile/leases/a')).toString(), '22');
      assert.equal((await store.stat('volatile/leases/a'))?.size, 2);
      assert.equal(await store.stat('volatile/leases/b'), null);
      assert.deepEqual(await namesOf(store, ''), ['volatile/leases/a']);
      assert.deepEqual(await namesOf(store, 'volatile/'), ['volatile/leases/a']);
    });

    it('notices when versions begin to be kept while it runs', async () => {
      const bucket = await server.makeBucket();
      const place = openIn(bucket);
      await place.store.putIfAbsent('a', Buffer.from('true'));
      await place.store.putIfAbsent('b', Buffer.from('true'));
      assert.equal((await place.store.get('a')).toString(), 'true');
      await outside.send(
        new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
      );
      await put(place, 'a', 'planted');
      await mark(place, 'b');
      assert.equal((await place.store.get('b')).toString(), 'true');
      assert.equal((await place.store.get('a')).toString(), 'true');
      await place.store.delete('b');
      assert.equal(await place.store.stat('b'), null);
      assert.deepEqual(await place.store.protection!(), { versioning: 'on', lock: 'off' });
    });

    it('reads a later version only where the oldest fails its proof', async () => {
      const place = openIn(buckets.versioned);
      await place.store.putIfAbsent('packs/rotten', Buffer.from('rotten'));
      await put(place, 'packs/rotten', 'worse');
      await put(place, 'packs/rotten', 'whole');
      const prove = async (from: ObjectStore) => {
        const text = (await from.get('packs/rotten')).toString();
        if (text !== 'whole') throw new HoldfastError('OBJECT_DAMAGED', `it is "${text}"`);
        return `${text} ${(await from.stat('packs/rotten'))?.size} ${await from.getRange('packs/rotten', 0, 1)}`;
      };
      for (const store of [place.store, retrying(place.store, { clock: systemClock })]) {
        assert.equal(await readProved(store, 'packs/rotten', prove), 'whole 5 w');
      }
      await assert.rejects(
        readProved(place.store, 'packs/rotten', async () => {
          throw new HoldfastError('OBJECT_DAMAGED', 'nothing will do');
        }),
        { code: 'OBJECT_DAMAGED' },
      );
    });

    const locationOf = ({ bucket, keyOf }: { bucket: string; keyOf: (name: string) => string }) =>
      `s3://${bucket}/${keyOf('').slice(0, -1)}?endpoint=${server.endpoint}`;
    const readerOptions = () => ({ clock: systemClock, credentials: credentialsOf(server.admin), pageSize: 3 });
  });

  describe('with locks', () => {
    const hour = 3_600_000;
    const lockFor = (name: string) => (name.startsWith('volatile/') ? null : hour);

    it('locks what it stores, extends and never shortens, and tells why a deletion is refused', async () => {
      const { store, keyOf, bucket } = openIn(buckets.locked, { lockFor });
      const before = Date.now();
      await store.putIfAbsent('snapshots/a', Buffer.from('x'));
      await store.putVolatile('volatile/a', Buffer.from('x'));
      const until = (await store.lock!.until('snapshots/a'))!;
      assert.ok(until >= before + hour && until <= Date.now() + hour + 1000);
      assert.equal(await store.lock!.until('volatile/a'), null);

      await store.lock!.extend('snapshots/a', until + hour);
      await store.lock!.extend('snapshots/a', until);
      await store.lock!.extend('snapshots/a', until + hour);
      assert.equal(await store.lock!.until('snapshots/a'), until + hour);
      await assert.rejects(store.delete('snapshots/a'), { code: 'OBJECT_LOCKED', retryable: false });
      await outside.send(new DeleteObjectCommand({ Bucket: bucket, Key: keyOf('snapshots/a') }));
      assert.equal((await store.get('snapshots/a')).toString(), 'x');

      await store.putIfAbsent('wal/x/y/fragments/1', Buffer.from('x'));
      await store.delete('wal/x/y/fragments/1');
      await store.delete('wal/x/y/fragments/1');
      for await (const { name } of store.list('wal/')) assert.fail(`${name} is hidden`);
      assert.equal((await store.get('wal/x/y/fragments/1')).toString(), 'x');

      await assert.rejects(store.lock!.until('none'), { code: 'OBJECT_ABSENT' });
      await assert.rejects(store.lock!.extend('none', until), { code: 'OBJECT_ABSENT' });
      assert.deepEqual(await store.protection!(), { versioning: 'on', lock: 'on' });
    });

    it('refuses to store what the bucket cannot lock', async () => {
      for (const bucket of [buckets.plain, buckets.versioned]) {
        const { store } = openIn(bucket, { lockFor });
        await assert.rejects(store.putIfAbsent('a', Buffer.from('x')), { code: 'STORE_LOCK_ABSENT', retryable: false });
        assert.equal(await store.stat('a'), null);
        assert.equal((await store.protection!()).lock, 'off');
      }
      assert.equal(openIn(buckets.locked).store.lock, undefined);
    });
  });

  it('keeps what it stores under its prefix, and takes no file that another process left', async (test) => {
    const scratchDirectory = await scratchFor(test, 's3');
    const place = openIn(buckets.plain, { scratchDirectory });
    const path = newSpoolPath(await place.store.spoolDirectory());
    assert.ok(path.startsWith(`${scratchDirectory}/spool/`));
    const bytes = randomBytes(70_000);
    await writeFile(path, bytes);
    await place.store.putFileIfAbsent('packs/a', path);
    const answer = await outside.send(
      new GetObjectCommand({ Bucket: place.bucket, Key: place.keyOf('packs/a'), ChecksumMode: 'ENABLED' }),
    );
    assert.deepEqual(Buffer.from(await answer.Body!.transformToByteArray()), bytes);
    assert.equal(answer.ChecksumSHA256, createHash('sha256').update(bytes).digest('base64'));
  });

  it('moves packs of 64 MiB, several at once, without holding any of them in memory', async (test) => {
    const { store } = openIn(buckets.plain, { scratchDirectory: await scratchFor(test, 's3') });
    const pack = randomBytes(64 * 1024 * 1024);
    const paths = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async () => {
        const path = newSpoolPath(await store.spoolDirectory());
        await writeFile(path, pack);
        return path;
      }),
    );
    const before = process.memoryUsage().arrayBuffers;
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    }, 5);
    try {
      const outcomes = await Promise.all(paths.map((path, i) => store.putFileIfAbsent(`packs/${i}`, path)));
      assert.deepEqual(outcomes, Array(4).fill('created'));
    } finally {
      clearInterval(watch);
    }
    assert.ok(most - before < 2 * pack.length, `${(most - before) >> 20} MiB for 4 packs of 64 MiB`);
    assert.deepEqual(await store.getRange('packs/3', pack.length - 1000, 1000), pack.subarray(-1000));
    const path = newSpoolPath(await store.spoolDirectory());
    await writeFile(path, pack);
    assert.equal(await store.putFileIfAbsent('packs/0', path), 'exists');
    for (let i = 0; i < 4; i++) await store.delete(`packs/${i}`);
  });

  describe('says what is wrong', () => {
    const openWith = (location: string, credentials = credentialsOf(server.admin)) =>
      openS3Store(parseS3Location(location), { clock: systemClock, credentials });
    const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
      get: (store) => store.get('format'),
      getRange: (store) => store.getRange('format', 0, 5),
      stat: (store) => store.stat('format'),
      put: (store) => store.putIfAbsent('format', Buffer.from('x')),
      putVolatile: (store) => store.putVolatile('volatile/a', Buffer.from('x')),
      list: async (store) => {
        for await (const { name } of store.list('')) assert.fail(name);
      },
      delete: (store) => store.delete('format'),
    };

    /** All calls fail with the code, and the secret stands nowhere in what they throw. */
    async function allFail(store: ObjectStore, code: string, secret: string): Promise<void> {
      for (const [name, call] of Object.entries(calls)) {
        const error = await call(store).then(
          () => assert.fail(`${name} succeeds`),
          (thrown: unknown) => thrown as HoldfastError,
        );
        assert.equal(error.code, code, `${name}: ${error.stack}`);
        assert.ok(error.hints.length > 0 && !error.retryable);
        assert.ok(!inspect(error, { depth: 20, showHidden: true }).includes(secret), `${name} tells the secret`);
      }
    }

    it('when the bucket is missing', async () => {
      const store = openWith(`s3://no-such-bucket/x?endpoint=${server.endpoint}`);
      await allFail(store, 'STORE_ABSENT', server.admin.secretAccessKey);
      await assert.rejects(store.now(), { code: 'STORE_ABSENT' });
    });

    it('when the key is not known, the secret is wrong, or the user may do nothing', async () => {
      const location = `s3://${buckets.plain}/x?endpoint=${server.endpoint}`;
      const { admin } = server;
      for (const keys of [
        { ...admin, accessKeyId: 'AKNOTKNOWN0000000000' },
        { ...admin, secretAccessKey: 'a-secret-that-is-wrong' },
      ]) {
        await allFail(openWith(location, credentialsOf(keys)), 'STORE_CREDENTIALS_REJECTED', keys.secretAccessKey);
      }
      const user = await server.makeUser();
      await allFail(openWith(location, credentialsOf(user)), 'STORE_DENIED', user.secretAccessKey);
    });

    it('when there are no credentials', async () => {
      const environment = {
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_CONFIG_FILE: '/dev/null',
        AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      };
      const restore = setEnvironment(environment);
      try {
        const store = openS3Store(parseS3Location(`s3://${buckets.plain}?endpoint=${server.endpoint}`), {
          clock: systemClock,
        });
        await assert.rejects(store.get('format'), { code: 'STORE_CREDENTIALS_ABSENT', retryable: false });
      } finally {
        restore();
      }
    });

    it('when the clock of this host is wrong', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 });
      try {
        await assert.rejects(openIn(buckets.plain).store.get('a'), { code: 'STORE_CLOCK_SKEWED', retryable: false });
      } finally {
        mock.timers.reset();
      }
    });

    it('when the quota is used up', async () => {
      const bucket = await server.makeBucket({ maxBytes: 100_000 });
      const { store } = openIn(bucket);
      const error = await store.putIfAbsent('a', randomBytes(200_000)).catch((thrown: unknown) => thrown);
      assert.equal((error as HoldfastError).code, 'STORE_FULL', String((error as HoldfastError).detail));
    });

    it('when nobody answers, and that it may pass', async () => {
      const store = openWith('s3://bucket?endpoint=http://127.0.0.1:9');
      await assert.rejects(store.get('format'), {
        ...{ code: 'STORE_UNAVAILABLE', retryable: true },
        message: /^could not .+: nothing listens at S3 "/,
      });
      await assert.rejects(openWith('s3://bucket').get('format'), { code: 'STORE_REGION_WRONG' });
    });

    it('when it is interrupted', async () => {
      const stopped = new AbortController();
      const { location } = openIn(buckets.plain);
      const store = openStore(location, { credentials: credentialsOf(server.admin), signal: stopped.signal });
      await store.putIfAbsent('a', Buffer.from('x'));
      stopped.abort(new HoldfastError('INTERRUPTED', 'interrupted by a test'));
      await assert.rejects(store.get('a'), { code: 'INTERRUPTED' });
    });
  });

  it('stores nothing of what was altered on its way, and its own although the answer was lost', async (test) => {
    for (const parameters of ['', '&checksums=when-required']) {
      await using proxy = await startFaultProxy({ target: server.endpoint, seed: 1 });
      const place = `s3://${buckets.plain}/${newPrefix()}?endpoint=${proxy.endpoint}${parameters}`;
      const options = { clock: systemClock, credentials: credentialsOf(server.admin) };
      const store = openS3Store(parseS3Location(place), options);
      const path = newSpoolPath(await scratchFor(test, 's3'));
      await writeFile(path, randomBytes(100_000));
      const puts = {
        bytes: (name: string) => store.putIfAbsent(name, randomBytes(1000)),
        file: (name: string) => store.putFileIfAbsent(name, path),
      };
      for (const [name, put] of Object.entries(puts)) {
        proxy.use(plannedFault('flipped-request-bit', ({ method }) => method === 'PUT', 1));
        await assert.rejects(put(name), { code: 'STORE_TRANSFER_DAMAGED', retryable: true });
        proxy.use(null);
        assert.equal(await store.stat(name), null);
      }
      const patient = openStore(place, options);
      proxy.use(plannedFault('lost-answer', ({ method }) => method === 'PUT', 1));
      assert.equal(await patient.putIfAbsent('lost', Buffer.from('mine')), 'created');
      proxy.use(null);
      assert.equal(await patient.putIfAbsent('lost', Buffer.from('mine')), 'exists');
      assert.ok(proxy.happenedInAll === 3);
    }
  });

  describe('over TLS', () => {
    const authority = makeAuthority();
    const { certificate: cert, key } = authority.issue(['127.0.0.1']);
    const openTo = (parameters: string) => {
      const location = `s3://${buckets.plain}/${newPrefix()}?${parameters}`;
      return openS3Store(parseS3Location(location), { clock: systemClock, credentials: credentialsOf(server.admin) });
    };

    it('trusts the authority that it is told of and no other, straight and through a proxy', async (test) => {
      const caFile = join(await scratchFor(test, 's3'), 'ca.pem');
      await writeFile(caFile, authority.certificate);
      await using secure = await startFaultProxy({ target: server.endpoint, tls: { key, cert } });
      await using proxy = await startTunnelProxy();
      const way = `endpoint=${secure.endpoint}&proxy=${proxy.address}`;
      for (const parameters of [way, `endpoint=${secure.endpoint}`]) {
        const trusting = openTo(`${parameters}&caFile=${caFile}`);
        assert.equal(await trusting.putIfAbsent('a', Buffer.from('x')), 'created');
        await assert.rejects(openTo(parameters).get('a'), { code: 'STORE_TLS_UNTRUSTED', retryable: false });
      }
      assert.ok(proxy.tunnels > 0);
      await assert.rejects(openTo(`endpoint=${secure.endpoint}&caFile=${caFile}.none`).get('a'), {
        code: 'STORE_LOCATION_INVALID',
      });
    });

    it('uses a connection through a proxy again and again, and never more than its share', async (test) => {
      const caFile = join(await scratchFor(test, 's3'), 'ca.pem');
      await writeFile(caFile, authority.certificate);
      await using secure = await startFaultProxy({ target: server.endpoint, tls: { key, cert } });
      await using proxy = await startTunnelProxy();
      const store = openTo(`endpoint=${secure.endpoint}&proxy=${proxy.address}&caFile=${caFile}`);
      for (let i = 0; i < 10; i++) await store.putIfAbsent(`a/${i}`, Buffer.from('x'));
      assert.equal(proxy.tunnels, 1);
      await Promise.all(Array.from({ length: 200 }, (_, i) => store.putIfAbsent(`b/${i}`, Buffer.from('x'))));
      assert.ok(proxy.tunnels <= 64, `${proxy.tunnels} tunnels`);
    });

    it('refuses a certificate for another host', async (test) => {
      const caFile = join(await scratchFor(test, 's3'), 'ca.pem');
      await writeFile(caFile, authority.certificate);
      const other = authority.issue(['store.example.net']);
      const tls = { key: other.key, cert: other.certificate };
      await using secure = await startFaultProxy({ target: server.endpoint, tls });
      await using proxy = await startTunnelProxy();
      for (const more of ['', `&proxy=${proxy.address}`]) {
        const store = openTo(`endpoint=${secure.endpoint}&caFile=${caFile}${more}`);
        await assert.rejects(store.get('a'), { code: 'STORE_TLS_UNTRUSTED' });
      }
    });
  });

  it('finds its credentials in the environment, in a profile, and by asking a program', async (test) => {
    const scratch = await scratchFor(test, 's3');
    const { accessKeyId, secretAccessKey } = server.admin;
    const { location } = openIn(buckets.plain);
    const printed = JSON.stringify({ Version: 1, AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey });
    await writeFile(`${scratch}/printed`, printed);
    await writeFile(
      `${scratch}/credentials`,
      `[work]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n[asked]\ncredential_process=cat ${scratch}/printed\n`,
    );
    const nowhere = {
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: `${scratch}/credentials`,
    };
    for (const [environment, credentials] of [
      [{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }, undefined],
      [{ AWS_PROFILE: 'work' }, undefined],
      [{}, { kind: 'profile', profile: 'work' }],
      [{}, { kind: 'profile', profile: 'asked' }],
      [
        { AWS_ACCESS_KEY_ID: 'AKOTHER', AWS_SECRET_ACCESS_KEY: 'other' },
        { kind: 'profile', profile: 'work' },
      ],
    ] as const) {
      const restore = setEnvironment({ ...nowhere, ...environment });
      try {
        const store = openStore(location, credentials === undefined ? {} : { credentials });
        assert.equal(await store.stat('none'), null);
      } finally {
        restore();
      }
    }
  });
});

function setEnvironment(values: Readonly<Record<string, string>>): () => void {
  const names = [
    ...Object.keys(values),
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_PROFILE',
    'AWS_SESSION_TOKEN',
  ];
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  Object.assign(process.env, values);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
