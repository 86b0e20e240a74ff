import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { Secret, systemClock } from '../../../lib/index.ts';
import { isOfAmazon } from './connection.ts';
import { parseS3Location } from './location.ts';
import { openS3Store } from './store.ts';

const version = (id: string, isLatest: boolean, second: number) =>
  `<Version><Key>p/packs/a</Key><VersionId>${id}</VersionId><IsLatest>${isLatest}</IsLatest><LastModified>2026-11-23T00:00:0${second}.000Z</LastModified><ETag>"e"</ETag><Size>1</Size></Version>`;

it('whether a put has won is looked after wherever the request did not go to Amazon, also when the address names no endpoint', async (test) => {
  const asked: string[] = [];
  // A server that lets two writers of one name pass.
  const server = createServer((request, response) => {
    request.resume();
    asked.push(`${request.method} ${request.url}`);
    if (request.method === 'PUT') response.setHeader('x-amz-version-id', 'ours').end();
    else if (request.method === 'DELETE') response.writeHead(204).end();
    else if (request.url?.includes('?versioning') === true)
      response.end('<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>');
    else
      response.end(
        `<ListVersionsResult><IsTruncated>false</IsTruncated>${version('ours', true, 2)}${version('theirs', false, 1)}</ListVersionsResult>`,
      );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  process.env.AWS_ENDPOINT_URL_S3 = `http://127.0.0.1:${port}`;
  test.after(() => delete process.env.AWS_ENDPOINT_URL_S3);
  const store = openS3Store(parseS3Location('s3://bb/p?region=eu-central-1&pathStyle=true'), {
    clock: systemClock,
    credentials: { kind: 'access-key', accessKeyId: 'AK', secretAccessKey: new Secret('sesame') },
  });
  assert.equal(await store.putIfAbsent('packs/a', Buffer.from('x')), 'exists');
  assert.ok(asked.some((request) => request.startsWith('DELETE /bb/p/packs/a') && request.includes('versionId=ours')));
});

it('only what answers over TLS below the names of Amazon is Amazon', () => {
  const hosts = ['bb.s3.eu-central-1.amazonaws.com', 's3.cn-north-1.amazonaws.com.cn'];
  assert.deepEqual(
    hosts.map((host) => isOfAmazon('https:', host)),
    [true, true],
  );
  const others = ['amazonaws.com.example.net', 'eviamazonaws.com', 's3.amazonaws.com.', 'ceph.example.net', undefined];
  assert.deepEqual(
    others.map((host) => isOfAmazon('https:', host)),
    others.map(() => false),
  );
  assert.equal(isOfAmazon('http:', hosts[0]), false);
});
