import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import { type HoldfastError, Secret, systemClock } from '../../../lib/index.ts';
import type { ObjectStore } from '../store.ts';
import { parseS3Location } from './location.ts';
import { openS3Store } from './store.ts';

const sesame = 'sesame-of-the-test';

/** A store before a server that says what it is told to. What a real one says is in test/contract/s3-store.test.ts. */
async function storeBefore(
  test: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  scheme: 'http' | 'https' = 'http',
): Promise<ObjectStore> {
  const server = createServer((request, response) => {
    request.resume();
    answer(request, response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return openS3Store(parseS3Location(`s3://bb/p?endpoint=${scheme}://127.0.0.1:${port}&region=eu-central-1`), {
    clock: systemClock,
    credentials: {
      ...{ kind: 'access-key', accessKeyId: 'AK' },
      ...{ secretAccessKey: new Secret(sesame), sessionToken: new Secret(`token-${sesame}`) },
    },
  });
}

const xml = (code: string, message: string, more = '') =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message>${more}<RequestId>1</RequestId></Error>`;

async function errorOf(act: Promise<unknown>): Promise<HoldfastError> {
  try {
    await act;
  } catch (error) {
    assert.ok(!inspect(error, { depth: 20, showHidden: true }).includes(sesame), 'no secret is told');
    return error as HoldfastError;
  }
  return assert.fail('it succeeds');
}

describe('a server without TLS behind https', () => {
  it('is told as what it is, at once', async (test) => {
    const store = await storeBefore(test, (_, response) => response.end(), 'https');
    const { code, message, hints, retryable } = await errorOf(store.get('format'));
    assert.deepEqual([code, retryable], ['STORE_UNAVAILABLE', false]);
    assert.match(message, /^cannot reach S3 "bb\/p" at 127\.0\.0\.1:\d+: what answers there does not speak TLS$/);
    assert.match(hints[0]!, /write http:\/\//);
  });
});

describe('an address at which nothing listens', () => {
  it('is told as that, with what to check, and that it may pass', async () => {
    const free = createServer();
    await new Promise<void>((listening) => free.listen(0, '127.0.0.1', listening));
    const { port } = free.address() as AddressInfo;
    await new Promise((closed) => free.close(closed));
    for (const host of ['127.0.0.1', 'localhost']) {
      const store = openS3Store(parseS3Location(`s3://bb/p?endpoint=http://${host}:${port}&region=eu-central-1`), {
        clock: systemClock,
        credentials: { kind: 'access-key', accessKeyId: 'AK', secretAccessKey: new Secret(sesame) },
      });
      const { code, message, hints, retryable } = await errorOf(store.get('format'));
      assert.deepEqual([code, retryable], ['STORE_UNAVAILABLE', true]);
      assert.match(message, /^could not .+: nothing listens at S3 "bb\/p" at /);
      assert.match(hints.at(-1)!, /^Check host and port of the endpoint/);
    }
  });
});

describe('an answer of S3', () => {
  const region = '<Region>eu-west-3</Region>';
  for (const [status, code, message, expected, retryable, more] of [
    [404, 'NoSuchBucket', 'The specified bucket does not exist', 'STORE_ABSENT', false, ''],
    [301, 'PermanentRedirect', 'The bucket must be addressed elsewhere.', 'STORE_REGION_WRONG', false, ''],
    [
      400,
      'AuthorizationHeaderMalformed',
      "the region 'x' is wrong; expecting 'eu-west-3'",
      'STORE_REGION_WRONG',
      false,
      region,
    ],
    [400, 'IllegalLocationConstraintException', 'The constraint is incompatible', 'STORE_REGION_WRONG', false, ''],
    [403, 'AccessDenied', 'Access Denied', 'STORE_DENIED', false, ''],
    [403, 'SomethingNew', 'Not for you', 'STORE_DENIED', false, ''],
    [403, 'InvalidAccessKeyId', 'It does not exist in our records.', 'STORE_CREDENTIALS_REJECTED', false, ''],
    [
      403,
      'SignatureDoesNotMatch',
      'Check your key.',
      'STORE_CREDENTIALS_REJECTED',
      false,
      `<StringToSign>token-${sesame}</StringToSign>`,
    ],
    [
      400,
      'ExpiredToken',
      'The provided token has expired.',
      'STORE_CREDENTIALS_EXPIRED',
      false,
      `<Token-0>token-${sesame}</Token-0>`,
    ],
    [403, 'RequestTimeTooSkewed', 'The difference is too large.', 'STORE_CLOCK_SKEWED', false, ''],
    [403, 'QuotaExceeded', '', 'STORE_FULL', false, ''],
    [
      507,
      'XMinioStorageFull',
      'Storage backend has reached its minimum free drive threshold.',
      'STORE_FULL',
      false,
      '',
    ],
    [503, 'SlowDown', 'Please reduce your request rate.', 'STORE_SLOW_DOWN', true, ''],
    [429, 'SomethingNew', 'Too many', 'STORE_SLOW_DOWN', true, ''],
    [400, 'BadDigest', 'The SHA256 you specified did not match', 'STORE_TRANSFER_DAMAGED', true, ''],
    [400, 'XAmzContentSHA256Mismatch', 'The provided header does not match', 'STORE_TRANSFER_DAMAGED', true, ''],
    [500, 'InternalError', 'We encountered an internal error.', 'STORE_UNAVAILABLE', true, ''],
    [400, 'RequestTimeout', 'Your socket connection was not read from.', 'STORE_UNAVAILABLE', true, ''],
    [409, 'ConditionalRequestConflict', 'A conflicting operation occurred.', 'STORE_UNAVAILABLE', true, ''],
    [501, 'NotImplemented', 'A header implies functionality that is not implemented.', 'STORE_FAILED', false, ''],
    [400, 'InvalidArgument', 'Something is wrong', 'STORE_FAILED', false, ''],
  ] as const) {
    it(`${status} ${code} is ${expected}`, async (test) => {
      const store = await storeBefore(test, (_request, response) => {
        // A server that calls a clock wrong has another time itself.
        const date = expected === 'STORE_CLOCK_SKEWED' ? { date: 'Mon, 23 Nov 2020 10:00:00 GMT' } : {};
        response.writeHead(status, { 'content-type': 'application/xml', ...date }).end(xml(code, message, more));
      });
      const error = await errorOf(store.putIfAbsent('packs/a', Buffer.from('x')));
      assert.equal(error.code, expected);
      assert.equal(error.retryable, retryable);
      assert.ok(error.detail?.includes(code));
      if (expected === 'STORE_REGION_WRONG' && more !== '') assert.match(error.hints[0]!, /\?region=eu-west-3/);
    });
  }

  it('412 means that the name is taken', async (test) => {
    const store = await storeBefore(test, (_request, response) => {
      response.writeHead(412).end(xml('PreconditionFailed', 'At least one of the preconditions did not hold'));
    });
    assert.equal(await store.putIfAbsent('packs/a', Buffer.from('x')), 'exists');
  });

  it('404 without a code of S3 is never an absent object', async (test) => {
    const store = await storeBefore(
      test,
      (_request, response) => void response.writeHead(404).end('<html>lost</html>'),
    );
    for (const act of [store.get('format'), store.stat('format'), store.getRange('format', 0, 1)]) {
      assert.match((await errorOf(act)).code, /^STORE_/);
    }
  });

  it('that ends too early, is another one, or none, is not taken for the object', async (test) => {
    const whole = { 'content-length': '10', 'last-modified': 'Mon, 23 Nov 2026 10:00:00 GMT' };
    const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
      short: (response) => {
        response.writeHead(200, whole).write('12345', () => response.destroy());
      },
      cut: (response) => void response.destroy(),
      html: (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in'),
    };
    for (const [kind, answer] of Object.entries(answers)) {
      const store = await storeBefore(test, (request, response) => {
        if (request.url?.includes('versioning') === true && kind !== 'html') response.end('<VersioningConfiguration/>');
        else answer(response);
      });
      for await (const act of [() => store.get('a'), () => store.list('')[Symbol.asyncIterator]().next()]) {
        const error = await errorOf(act());
        assert.ok(
          error.code === 'STORE_UNAVAILABLE' ? error.retryable : error.code === 'STORE_FAILED',
          `${kind} ${error.code}`,
        );
      }
    }
  });

  it('with other bytes than the range that was asked for is refused', async (test) => {
    const store = await storeBefore(test, (request, response) => {
      if (request.url?.includes('versioning') === true) response.end('<VersioningConfiguration/>');
      else response.writeHead(200, { 'content-length': '100' }).end('x'.repeat(100));
    });
    await assert.rejects(store.getRange('a', 10, 20), { code: 'STORE_FAILED' });
    assert.equal((await store.getRange('a', 0, 100)).length, 100);
  });
});

describe('a listing whose bits were altered on the way', () => {
  const entry = (key: string) =>
    `<Key>${key}</Key><LastModified>2026-11-23T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>1</Size>`;
  const versions = (key: string) =>
    `<ListVersionsResult><Version>${entry(key)}<VersionId>1</VersionId><IsLatest>true</IsLatest></Version></ListVersionsResult>`;
  const names = (key: string) => `<ListBucketResult><Contents>${entry(key)}</Contents></ListBucketResult>`;

  for (const keepsVersions of [false, true]) {
    it(`is refused for a name that was not asked for (${keepsVersions ? 'with' : 'without'} versions)`, async (test) => {
      const status = keepsVersions ? '<Status>Enabled</Status>' : '';
      const store = await storeBefore(test, ({ url = '' }, response) => {
        const key = url.includes('prefix=p%2Fpacks') ? 'p/packs/a' : 'p/adtest/a';
        if (url.includes('versioning')) response.end(`<VersioningConfiguration>${status}</VersioningConfiguration>`);
        else response.end(url.includes('versions') ? versions(key) : names(key));
      });
      const list = async (prefix: string) => {
        const found: string[] = [];
        for await (const { name } of store.list(prefix)) found.push(name);
        return found;
      };
      assert.deepEqual(await list('packs/'), ['packs/a']);
      const { code, detail } = await errorOf(list('attest/'));
      assert.equal(code, 'STORE_FAILED');
      assert.equal(detail, 'Expected keys that begin with "p/attest/", found "p/adtest/a".');
    });
  }
});
