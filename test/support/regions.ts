import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Server, S3User } from './s3-server.ts';
import { startTcpProxy } from './tcp-proxy.ts';

/** Somewhere a copy of a repository can be, which can be cut off and can be lost. */
export interface Region extends AsyncDisposable {
  readonly name: string;
  /** As a plan names the place, with what opens it. */
  readonly place: { readonly location: string; readonly credentials?: object };
  /** Variables that the plan's credentials refer to. */
  readonly environment: Readonly<Record<string, string>>;
  /** Nobody reaches it until `heal`. */
  cut(): Promise<void>;
  heal(): Promise<void>;
  /** The names of what is stored there. */
  list(): Promise<string[]>;
  remove(name: string): Promise<void>;
  /** Everything that was there is gone for good. */
  burn(): Promise<void>;
}

/** A region that is a directory below `parent`; not made yet. */
export function diskRegion(parent: string, name: string): Region {
  const directory = join(parent, name);
  const elsewhere = `${directory}.away`;
  return {
    ...{ name, place: { location: directory }, environment: {} },
    cut: () => rename(directory, elsewhere),
    heal: () => rename(elsewhere, directory),
    list: async () => {
      const { openDiskStore } = await import('../../src/repository/index.ts');
      const names: string[] = [];
      for await (const { name: object } of openDiskStore(directory).list('')) names.push(object);
      return names;
    },
    remove: (object) => rm(join(directory, object)),
    burn: () => rm(directory, { recursive: true, force: true }),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A region that is a bucket behind a network of its own, under an account of its own. */
export async function s3Region(server: S3Server, name: string): Promise<Region> {
  const user: S3User = await server.makeUser();
  const bucket = await server.makeBucket({ policy: (own) => everythingFor(user, own) });
  const proxy = await startTcpProxy(Number(new URL(server.endpoint).port));
  const client = server.client();
  const variable = (what: string) => `${name.toUpperCase()}_${what}`;
  const list = async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return Contents.map(({ Key }) => Key!);
  };
  const remove = (keys: readonly string[]) =>
    client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
  return {
    name,
    place: {
      location: `s3://${bucket}/shop?region=${server.region}&endpoint=http://127.0.0.1:${proxy.port}`,
      credentials: { accessKeyId: { env: variable('KEY') }, secretAccessKey: { env: variable('SECRET') } },
    },
    environment: { [variable('KEY')]: user.accessKeyId, [variable('SECRET')]: user.secretAccessKey },
    cut: async () => proxy.cut(),
    heal: async () => proxy.mend(),
    list: async () => (await list()).map((key) => key.replace(/^shop\//, '')),
    remove: async (object) => void (await remove([`shop/${object}`])),
    burn: async () => {
      for (let keys = await list(); keys.length > 0; keys = await list()) await remove(keys);
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function everythingFor(user: S3User, bucket: string): object {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: [user.arn] },
        Action: ['s3:*'],
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      },
    ],
  };
}
