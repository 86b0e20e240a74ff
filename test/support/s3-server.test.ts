import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { type S3Server, startS3Server, whyNoS3Server } from './s3-server.ts';

/** What the tests of the S3 driver rest on: were the server lenient here, they would prove nothing. */
describe('the S3 server of the tests', { skip: whyNoS3Server() }, () => {
  let server: S3Server;
  let owner: S3Client;

  before(async () => {
    server = await startS3Server();
    owner = server.client();
  });
  after(async () => {
    owner?.destroy();
    await server?.stop();
  });

  const put = (client: S3Client, bucket: string, key: string, more: object = {}) =>
    client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: randomBytes(6_000), ...more }));

  /** Debian's release before, which stands in when the newer one cannot be had. */
  const isOld = () => Number.parseInt(server.version, 10) < 20;

  it('creates once', async () => {
    const bucket = await server.makeBucket();
    const tries = Array.from({ length: 8 }, () => put(owner, bucket, 'a', { IfNoneMatch: '*' }));
    const outcomes = await Promise.allSettled(tries);
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('refuses a body that is not what its checksum says', async () => {
    const bucket = await server.makeBucket();
    const wrong = randomBytes(32).toString('base64');
    const attempt = put(owner, bucket, 'a', { ChecksumAlgorithm: 'SHA256', ChecksumSHA256: wrong });
    if (isOld()) await attempt;
    else await assert.rejects(attempt, { name: 'BadDigest' });
  });

  it('checks signatures', async () => {
    const bucket = await server.makeBucket();
    const stranger = server.client({ ...server.admin, secretAccessKey: 'wrong' });
    await assert.rejects(put(stranger, bucket, 'a'), { name: 'SignatureDoesNotMatch' });
    stranger.destroy();
  });

  it('lets a user do what the policy of the bucket allows, and nothing else', async () => {
    const user = await server.makeUser();
    const bucket = await server.makeBucket({
      policy: (name) => ({
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { AWS: [user.arn] },
            Action: ['s3:PutObject'],
            Resource: [`arn:aws:s3:::${name}/*`],
          },
        ],
      }),
    });
    const client = server.client(user);
    await put(client, bucket, 'a');
    const read = client.send(new GetObjectCommand({ Bucket: bucket, Key: 'a' }));
    // Without accounts what a user has put is the user's.
    if (isOld()) await read;
    else await assert.rejects(read, { name: 'AccessDenied' });
    await server.suspendUser(user.name);
    await assert.rejects(put(client, bucket, 'b'), { name: 'UserSuspended' });
    client.destroy();
  });

  it('keeps a locked version, and hides it behind a marker when its name is deleted', async () => {
    const bucket = await server.makeBucket({ objectLock: true });
    const { VersionId } = await put(owner, bucket, 'a');
    const version = { Bucket: bucket, Key: 'a', VersionId };
    const Retention = { Mode: 'COMPLIANCE', RetainUntilDate: new Date(Date.now() + 60_000) } as const;
    await owner.send(new PutObjectRetentionCommand({ ...version, Retention }));
    await assert.rejects(owner.send(new DeleteObjectCommand(version)), { name: 'AccessDenied' });
    await owner.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'a' }));
    await assert.rejects(owner.send(new GetObjectCommand({ Bucket: bucket, Key: 'a' })), { name: 'NoSuchKey' });
    assert.equal((await owner.send(new GetObjectCommand(version))).ContentLength, 6_000);
  });

  it('refuses what would go beyond the quota of a bucket', async () => {
    const bucket = await server.makeBucket({ maxBytes: 10_000 });
    await put(owner, bucket, 'a');
    await assert.rejects(put(owner, bucket, 'b'), { name: 'QuotaExceeded' });
  });
});
