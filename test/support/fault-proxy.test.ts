import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { type HttpFaultKind, httpFaultKinds, plannedFault, randomFaults } from './http-fault.ts';
import { type S3Server, startS3Server, whyNoS3Server } from './s3-server.ts';
import { seededRandom } from './seeded-random.ts';

/** What a kind of fault must leave behind: whether the client was told of an error, and whether the server has the object. */
const puts: Partial<Record<HttpFaultKind, { fails: RegExp; isThere: boolean }>> = {
  'internal-error': { fails: /InternalError/, isThere: false },
  'slow-down': { fails: /SlowDown/, isThere: false },
  'gateway-error': { fails: /./, isThere: false },
  'clock-refused': { fails: /RequestTimeTooSkewed/, isThere: false },
  'no-answer': { fails: /ECONNRESET|socket hang up/, isThere: false },
  'reset-before': { fails: /ECONNRESET|EPIPE|socket hang up/, isThere: false },
  'reset-amid-request': { fails: /ECONNRESET|EPIPE|socket hang up/, isThere: false },
  'flipped-request-bit': { fails: /BadDigest|XAmzContentSHA256Mismatch/, isThere: false },
  'lost-answer': { fails: /ECONNRESET|socket hang up/, isThere: true },
  'error-after': { fails: /InternalError/, isThere: true },
  'late-request': { fails: /ECONNRESET|socket hang up/, isThere: true },
};

const gets: Partial<Record<HttpFaultKind, RegExp>> = {
  'reset-amid-answer': /aborted|ECONNRESET|socket hang up/,
  'truncated-answer': /aborted|ECONNRESET|socket hang up/,
  'shortened-answer': /[Cc]hecksum/,
  'flipped-answer-bit': /[Cc]hecksum/,
  'wrong-checksum': /[Cc]hecksum/,
};

describe('the fault proxy', { skip: whyNoS3Server() }, () => {
  let server: S3Server;
  let proxy: FaultProxy;
  let far: S3Client;
  let near: S3Client;
  let Bucket: string;
  const Body = randomBytes(300_000);

  before(async () => {
    server = await startS3Server();
    proxy = await startFaultProxy({ target: server.endpoint, seed: 7 });
    const { admin: credentials, region } = server;
    far = new S3Client({ endpoint: proxy.endpoint, region, forcePathStyle: true, credentials, maxAttempts: 1 });
    near = server.client();
    Bucket = await server.makeBucket();
  });
  beforeEach(() => proxy.heal());
  after(async () => {
    far?.destroy();
    near?.destroy();
    await proxy?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const put = (client: S3Client, Key: string) =>
    client.send(new PutObjectCommand({ Bucket, Key, Body, ChecksumAlgorithm: 'SHA256' }));
  const get = async (client: S3Client, Key: string) => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    return Buffer.from(await answer.Body!.transformToByteArray());
  };
  const isThere = (Key: string) =>
    near.send(new HeadObjectCommand({ Bucket, Key })).then(
      () => true,
      () => false,
    );
  const list = async () => {
    const { Contents = [] } = await far.send(new ListObjectsV2Command({ Bucket, Prefix: 'listed/' }));
    return Contents.map(({ Key }) => Key);
  };

  it('passes everything on unharmed, signatures and checksums too, while nothing is planned', async () => {
    await put(far, 'well');
    assert.deepEqual(await get(far, 'well'), Body);
    assert.equal(proxy.happenedInAll, 0);
  });

  for (const [kind, { fails, isThere: expected }] of Object.entries(puts)) {
    it(`leaves a put with "${kind}" ${expected ? 'carried out' : 'undone'}, and what comes after it well`, async () => {
      const before = proxy.happened[kind as HttpFaultKind];
      proxy.use(plannedFault(kind as HttpFaultKind, ({ method }) => method === 'PUT', 1));
      await assert.rejects(put(far, kind), fails);
      assert.equal(proxy.happened[kind as HttpFaultKind], before + 1);
      await proxy.settled();
      assert.equal(await isThere(kind), expected);
      await put(far, kind);
      assert.deepEqual(await get(near, kind), Body);
    });
  }

  for (const [kind, expected] of Object.entries(gets)) {
    it(`harms what is read by "${kind}" so that whoever looks can see it`, async () => {
      await put(near, 'read');
      proxy.use(plannedFault(kind as HttpFaultKind, ({ method }) => method === 'GET', 1));
      await assert.rejects(get(far, 'read'), expected);
      assert.equal(proxy.happened[kind as HttpFaultKind], 1);
      assert.deepEqual(await get(far, 'read'), Body);
    });
  }

  it('gives an older answer to the same question for names again', async () => {
    assert.deepEqual(await list(), []);
    proxy.use(plannedFault('stale-listing', ({ isListing }) => isListing, 1));
    await put(near, 'listed/a');
    assert.deepEqual(await list(), []);
    assert.equal(proxy.happened['stale-listing'], 1);
    assert.deepEqual(await list(), ['listed/a']);
  });

  it('tells another time than it is', async () => {
    proxy.use(plannedFault('skewed-clock', () => true));
    const answer = await fetch(proxy.endpoint);
    const away = Math.abs(Date.parse(answer.headers.get('date') ?? '') - Date.now());
    assert.ok(away > 30 * 60_000, `${away} ms away`);
  });

  it('lets nothing through while it is cut, and everything afterwards', async () => {
    await put(far, 'cut');
    proxy.cut();
    await assert.rejects(get(far, 'cut'), /ECONNRE|socket hang up/);
    proxy.heal();
    assert.deepEqual(await get(far, 'cut'), Body);
    proxy.cut('swallow');
    const waiting = assert.rejects(get(far, 'cut'), /ECONNRE|socket hang up/);
    await fetch(proxy.endpoint, { signal: AbortSignal.timeout(200) }).then(
      () => assert.fail('expected no answer'),
      () => {},
    );
    proxy.heal();
    await waiting;
    assert.deepEqual(await get(far, 'cut'), Body);
  });

  it('delays answers, and holds a rate', async () => {
    await get(far, 'well');
    proxy.delay(50);
    const started = performance.now();
    await get(far, 'well');
    assert.ok(performance.now() - started >= 49);
    proxy.delay(0);
    proxy.limit(1_000_000);
    const limited = performance.now();
    await get(far, 'well');
    assert.ok(performance.now() - limited >= 250, 'at a million bytes a second 300,000 take 0.3 s');
    proxy.limit(null);
  });

  it('draws the same faults for the same seed, of every kind that can happen to a request', () => {
    const draw = (seed: number) => {
      const faults = randomFaults(seededRandom(seed), 2);
      return Array.from({ length: 400 }, (_, n) =>
        faults({ method: n % 2 === 0 ? 'GET' : 'PUT', url: '/', bodyBytes: (n % 2) * 10, isListing: n % 4 === 0 }),
      );
    };
    assert.deepEqual(draw(3), draw(3));
    assert.notDeepEqual(draw(3), draw(4));
    assert.deepEqual(new Set(draw(3)), new Set([null, ...httpFaultKinds]));
  });
});
