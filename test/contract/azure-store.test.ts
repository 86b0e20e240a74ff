import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import type { ContainerClient } from '@azure/storage-blob';
import { type HoldfastError, Secret, systemClock } from '../../src/lib/index.ts';
import {
  newSpoolPath,
  type ObjectStore,
  openAzureStore,
  openStore,
  parseAzureLocation,
  retrying,
  type StoreCredentials,
} from '../../src/repository/object-store/index.ts';
import { probeStore, whyUnfit } from '../../src/repository/probe/index.ts';
import { type AzureServer, startAzureServer } from '../support/azure-server.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { httpFaultKinds } from '../support/http-fault.ts';
import { entriesIn, namesIn } from '../support/listing.ts';
import { scratchFor } from '../support/memory-repository.ts';
import { describeObjectStore } from './object-store.ts';

type AzureStoreOptions = Parameters<typeof openAzureStore>[1];

describe('the Azure store', () => {
  let server: AzureServer;
  let container: string;
  let outside: ContainerClient;

  before(async () => {
    server = await startAzureServer();
    container = await server.makeContainer();
    outside = server.client().getContainerClient(container);
  });
  after(() => server?.stop());

  const accountKey = (key = server.key): StoreCredentials => ({ kind: 'account-key', key: new Secret(key) });
  const sas = (token: string): StoreCredentials => ({ kind: 'sas', token: new Secret(token) });
  const locationOf = (place: string, endpoint = server.endpoint) =>
    `azure://${server.account}/${place}?endpoint=${endpoint}`;

  /** A store under a prefix of its own. */
  function openIn(options: Partial<AzureStoreOptions> & { parameters?: string; endpoint?: string } = {}) {
    const prefix = `p-${randomBytes(8).toString('hex')}/deep`;
    const location = locationOf(`${container}/${prefix}`, options.endpoint) + (options.parameters ?? '');
    const { parameters, endpoint, ...rest } = options;
    const all = { clock: systemClock, credentials: accountKey(), pageSize: 5, ...rest };
    return { location, prefix, store: openAzureStore(parseAzureLocation(location), all) };
  }

  const slow = { runs: 4 };
  describeObjectStore('the Azure store', async () => openIn().store, slow);
  describeObjectStore(
    'the Azure store with a signature, a limited rate and repetition around it',
    async (test) => {
      const credentials = sas(await server.makeToken(container, 'racwdl'));
      const scratchDirectory = await scratchFor(test, 'azure');
      const { store } = openIn({ credentials, scratchDirectory, parameters: '&maxRate=20MiB' });
      return retrying(store, { clock: systemClock });
    },
    slow,
  );

  it('keeps every promise that a repository needs, and says that it does not lock', async () => {
    const { store } = openIn();
    const probe = await probeStore(store, { clock: systemClock });
    assert.equal(whyUnfit(store, probe), null);
    assert.deepEqual([probe.findings.versioning.outcome, probe.findings.lock.outcome], ['unseen', 'not-offered']);
    assert.deepEqual(await namesIn(store), []);
    assert.throws(() => openIn({ lockFor: () => 1000 }), { code: 'STORE_LOCK_ABSENT' });
  });

  it('takes the signature of a writer that may create and overwrite and not delete', async () => {
    const { store } = openIn({ credentials: sas(await server.makeToken(container, 'rcwl')) });
    assert.equal(await store.putIfAbsent('packs/a', Buffer.from('x')), 'created');
    assert.equal(await store.putIfAbsent('packs/a', Buffer.from('y')), 'exists');
    await assert.rejects(store.delete('packs/a'), { code: 'STORE_DENIED' });
    const { findings, leftBehind } = await probeStore(store, { clock: systemClock });
    assert.equal(findings.delete.outcome, 'unseen');
    assert.equal(leftBehind.length, 2);
  });

  it('calls what is there already taken, also to a writer that may only create', async () => {
    const { store } = openIn({ credentials: sas(await server.makeToken(container, 'rcl')) });
    assert.equal(await store.putIfAbsent('a', Buffer.from('x')), 'created');
    assert.equal(await store.putIfAbsent('a', Buffer.from('y')), 'exists');
    assert.equal((await store.get('a')).toString(), 'x');
    const probe = await probeStore(store, { clock: systemClock });
    assert.deepEqual([probe.findings.overwrite.outcome, probe.findings.delete.outcome], ['unseen', 'unseen']);
    assert.equal(whyUnfit(store, probe)?.code, 'STORE_DENIED');
    await assert.rejects(
      store.putVolatile('volatile/a', Buffer.from('x')).then(() => store.putVolatile('volatile/a', Buffer.from('y'))),
      {
        code: 'STORE_DENIED',
      },
    );
  });

  it('keeps what it stores under its prefix, with the digest that the server compared', async (test) => {
    const scratchDirectory = await scratchFor(test, 'azure');
    const { store, prefix } = openIn({ scratchDirectory });
    const path = newSpoolPath(await store.spoolDirectory());
    assert.ok(path.startsWith(`${scratchDirectory}/spool/`));
    const bytes = randomBytes(70_000);
    await writeFile(path, bytes);
    await store.putFileIfAbsent('packs/a', path);
    const blob = outside.getBlobClient(`${prefix}/packs/a`);
    assert.deepEqual(await blob.downloadToBuffer(), bytes);
    const { contentMD5 } = await blob.getProperties();
    assert.deepEqual(Buffer.from(contentMD5!), createHash('md5').update(bytes).digest());
  });

  it('moves a pack of 64 MiB in one request, and gives parts of it', async (test) => {
    const { store } = openIn({ scratchDirectory: await scratchFor(test, 'azure') });
    const pack = randomBytes(64 * 1024 * 1024);
    for (const outcome of ['created', 'exists'] as const) {
      const path = newSpoolPath(await store.spoolDirectory());
      await writeFile(path, pack);
      assert.equal(await store.putFileIfAbsent('packs/a', path), outcome);
      assert.equal(existsSync(path), false);
    }
    const ranges = Array.from({ length: 8 }, (_, i) => i * 8 * 1024 * 1024);
    const parts = await Promise.all(ranges.map((at) => store.getRange('packs/a', at, 1000)));
    for (const [i, part] of parts.entries()) assert.ok(part.equals(pack.subarray(ranges[i]!, ranges[i]! + 1000)));
  });

  describe('behind a bad network', () => {
    let proxy: FaultProxy;
    before(async () => {
      const { origin } = new URL(server.endpoint);
      proxy = await startFaultProxy({ target: origin, silenceMs: 50, lateMs: 20 });
    });
    after(() => proxy?.[Symbol.asyncDispose]());

    // What a store cannot see, others find: bytes are proved by whoever reads them, and the probe looks at listings.
    const unseen = new Set(['flipped-answer-bit', 'stale-listing']);
    // Whether an hour is wrong here or there cannot be known: nobody repeats that.
    const final = new Set(['clock-refused']);
    for (const kind of httpFaultKinds.filter((kind) => !unseen.has(kind) && !final.has(kind))) {
      it(`gets over "${kind}" by repeating, and takes nothing for what it is not`, async () => {
        const endpoint = `${proxy.endpoint}/${server.account}`;
        const store = retrying(openIn({ endpoint }).store, { clock: impatient });
        const bytes = randomBytes(50_000);
        /** The first request of each step meets the fault. */
        const inTrouble = async <T>(step: () => Promise<T>): Promise<T> => {
          let left = 1;
          proxy.use(() => (left-- > 0 ? kind : null));
          const answer = await step();
          proxy.use(null);
          await proxy.settled();
          return answer;
        };
        assert.equal(await inTrouble(() => store.putIfAbsent('packs/a', bytes)), 'created');
        assert.equal(await inTrouble(() => store.putIfAbsent('packs/a', randomBytes(50_000))), 'exists');
        assert.deepEqual(await inTrouble(() => store.get('packs/a')), bytes);
        assert.deepEqual(await inTrouble(() => store.getRange('packs/a', 10, 40_000)), bytes.subarray(10, 40_010));
        assert.equal((await inTrouble(() => store.stat('packs/a')))?.size, bytes.length);
        assert.deepEqual(await inTrouble(() => namesIn(store)), ['packs/a']);
        await inTrouble(() => store.delete('packs/a'));
        assert.deepEqual(await inTrouble(() => entriesIn(store)), []);
        await assert.rejects(
          inTrouble(() => store.get('packs/a')),
          { code: 'OBJECT_ABSENT' },
        );
        proxy.heal();
      });
    }
  });

  describe('says what is wrong', () => {
    const openWith = (location: string, credentials?: StoreCredentials, environment = {}) =>
      openAzureStore(parseAzureLocation(location), {
        ...{ clock: systemClock, environment },
        ...(credentials === undefined ? {} : { credentials }),
      });
    const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
      get: (store) => store.get('format'),
      getRange: (store) => store.getRange('format', 0, 5),
      stat: (store) => store.stat('format'),
      put: (store) => store.putIfAbsent('format', Buffer.from('x')),
      putVolatile: (store) => store.putVolatile('volatile/a', Buffer.from('x')),
      list: (store) => namesIn(store),
      delete: (store) => store.delete('format'),
      now: (store) => store.now(),
    };

    /** All calls fail with the code, and the secret stands nowhere in what they throw. */
    async function allFail(store: ObjectStore, code: string, secret: string): Promise<void> {
      for (const [name, call] of Object.entries(calls)) {
        const error = await call(store).then(
          () => assert.fail(`${name} succeeds`),
          (thrown: unknown) => thrown as HoldfastError,
        );
        assert.equal(error.code, code, `${name}: ${error.message} ${error.detail}`);
        assert.ok(error.hints.length > 0 && !error.retryable, name);
        const all = `${inspect(error, { depth: 20, showHidden: true })} ${error.stack}`;
        for (const part of secret.split('&')) assert.ok(!all.includes(part), `${name} tells "${part}"`);
      }
    }
    const signatureOf = (token: string) => new URLSearchParams(token).get('sig')!;

    it('when the container is missing', async () => {
      await allFail(openWith(locationOf('no-such-container'), accountKey()), 'STORE_ABSENT', server.key);
    });

    it('when the key is wrong, or none', async () => {
      for (const key of [randomBytes(64).toString('base64'), 'this is no key']) {
        await allFail(openWith(locationOf(container), accountKey(key)), 'STORE_CREDENTIALS_REJECTED', key);
      }
      const kinds: StoreCredentials[] = [
        { kind: 'profile', profile: 'work' },
        { kind: 'access-key', accessKeyId: 'AK', secretAccessKey: new Secret('hidden') },
      ];
      for (const kind of kinds)
        await allFail(openWith(locationOf(container), kind), 'STORE_CREDENTIALS_REJECTED', 'hidden');
    });

    it('when the signature has expired, or lacks the right', async () => {
      const old = await server.makeToken(container, 'racwdl', -60_000);
      await allFail(openWith(locationOf(container), sas(old)), 'STORE_CREDENTIALS_EXPIRED', signatureOf(old));
      const other = await server.makeToken(await server.makeContainer(), 'racwdl');
      await allFail(openWith(locationOf(container), sas(other)), 'STORE_CREDENTIALS_REJECTED', signatureOf(other));
      const nothing = await server.makeToken(container, 't');
      await allFail(openWith(locationOf(container), sas(nothing)), 'STORE_DENIED', signatureOf(nothing));
    });

    it('when there are no credentials, and names the identity that it does not use', async () => {
      const store = openWith(locationOf(container), undefined, { IDENTITY_ENDPOINT: 'http://169.254.1.1/' });
      await assert.rejects(store.get('format'), { code: 'STORE_CREDENTIALS_ABSENT', detail: /IDENTITY_ENDPOINT/ });
      await assert.rejects(openWith(locationOf(container)).get('format'), { code: 'STORE_CREDENTIALS_ABSENT' });
    });

    it('when the credentials of the environment are of another account', async () => {
      const key = { AZURE_STORAGE_ACCOUNT: 'somebodyelse', AZURE_STORAGE_KEY: server.key };
      const text = { AZURE_STORAGE_CONNECTION_STRING: `AccountName=somebodyelse;AccountKey=${server.key}` };
      for (const environment of [key, text]) {
        await allFail(
          openWith(locationOf(container), undefined, environment),
          'STORE_CREDENTIALS_REJECTED',
          server.key,
        );
      }
    });

    it('when the clock of this host is wrong', async () => {
      const hour = 60 * 60_000;
      const detail = `<AuthenticationErrorDetail>Request date header too old: 'x'</AuthenticationErrorDetail>`;
      for (const [offset, words] of [
        [hour, ''],
        [0, detail],
      ] as const) {
        // As Azure documents it; the emulator takes any date.
        const refuse = (answer: ServerResponse) =>
          answer
            .writeHead(403, {
              'content-type': 'application/xml',
              date: new Date(Date.now() + offset).toUTCString(),
              'x-ms-error-code': 'AuthenticationFailed',
            })
            .end(
              `<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code><Message>No.</Message>${words}</Error>`,
            );
        await withAnswer(refuse, async (endpoint) => {
          const store = openWith(locationOf(container, endpoint), accountKey());
          await assert.rejects(store.get('a'), { code: 'STORE_CLOCK_SKEWED', retryable: false });
        });
      }
    });

    it('when nobody answers, and that it may pass', async () => {
      const store = openWith(`azure://${server.account}/${container}?endpoint=http://127.0.0.1:9`, accountKey());
      await assert.rejects(store.get('format'), {
        ...{ code: 'STORE_UNAVAILABLE', retryable: true },
        message: /^could not .+: nothing listens at Azure "/,
      });
    });

    it('when listings are out of order, or of something else', async () => {
      const page = (names: string[]) =>
        `<?xml version="1.0"?><EnumerationResults ContainerName="c"><Blobs>${names.map((name) => `<Blob><Name>${name}</Name><Properties><Last-Modified>Mon, 23 Nov 2026 10:00:00 GMT</Last-Modified><Content-Length>1</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>`).join('')}</Blobs><NextMarker/></EnumerationResults>`;
      for (const [names, code] of [
        [['packs/b', 'packs/a'], 'STORE_LISTS_UNORDERED'],
        [['packs/a', 'wal/a'], 'STORE_FAILED'],
      ] as const) {
        await withAnswer(
          (answer) => answer.writeHead(200, { 'content-type': 'application/xml' }).end(page([...names])),
          async (endpoint) => {
            const store = openWith(locationOf(container, endpoint), accountKey());
            await assert.rejects(namesIn(store, 'packs/'), { code });
          },
        );
      }
      await withAnswer(
        (answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>'),
        async (endpoint) => {
          const store = openWith(locationOf(container, endpoint), accountKey());
          for (const [name, call] of Object.entries(calls))
            await assert.rejects(call(store), { code: /^STORE_/ }, name);
        },
      );
    });

    it('when it is interrupted', async () => {
      const stopped = new AbortController();
      const { location } = openIn();
      const store = openStore(location, { credentials: accountKey(), signal: stopped.signal });
      await store.putIfAbsent('a', Buffer.from('x'));
      stopped.abort();
      await assert.rejects(store.get('a'), { code: 'INTERRUPTED' });
    });

    it('when an address is not one, without repeating what stands in it', () => {
      const addresses = [
        'azure://account',
        'azure://Account_1/container',
        'azure://account/Container',
        'azure://account/a/../b',
        'azure://user:hidden@account/container',
        'azure://account/container?sig=hidden',
        'azure://account/container?sv=2024-11-04&se=hidden',
        'azure://account/container?AccountKey=hidden',
        'azure://account/container?region=hidden',
        'azure://account/container?endpoint=ftp://hidden',
        'azure://account/container?endpoint=https://user:hidden@example.net',
        'azure://account/container?maxRate=1&maxRate=2',
        `azure://account/container/${'x'.repeat(200)}`,
      ];
      for (const address of addresses) {
        assert.throws(
          () => openStore(address),
          (error: HoldfastError) => {
            assert.equal(error.code, 'STORE_LOCATION_INVALID', address);
            assert.ok(!inspect(error).includes('hidden'), address);
            return true;
          },
        );
      }
    });
  });

  it('finds its credentials in the environment', async () => {
    const token = await server.makeToken(container, 'racwdl');
    const environments: Record<string, string>[] = [
      { AZURE_STORAGE_ACCOUNT: server.account, AZURE_STORAGE_KEY: server.key },
      { AZURE_STORAGE_SAS_TOKEN: `?${token}` },
      {
        AZURE_STORAGE_CONNECTION_STRING: `AccountName=${server.account};AccountKey=${server.key}`,
        AZURE_STORAGE_KEY: 'other',
      },
    ];
    for (const environment of environments) {
      const store = openAzureStore(parseAzureLocation(locationOf(container)), { clock: systemClock, environment });
      assert.equal(await store.stat('none'), null);
    }
    // The endpoint of a connection string counts where the address has none.
    const text = `DefaultEndpointsProtocol=http;AccountName=${server.account};AccountKey=${server.key};BlobEndpoint=${server.endpoint};`;
    const store = openAzureStore(parseAzureLocation(`azure://${server.account}/${container}`), {
      ...{ clock: systemClock, environment: { AZURE_STORAGE_CONNECTION_STRING: text } },
    });
    assert.equal(await store.stat('none'), null);
  });
});

/** A server that gives one answer to everything, for as long as it is used. */
async function withAnswer(
  give: (answer: ServerResponse) => void,
  use: (endpoint: string) => Promise<void>,
): Promise<void> {
  const server = createServer((_, answer) => give(answer));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Sleeps a hundredth of what it is asked for. */
const impatient = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic(),
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 100, signal),
};
