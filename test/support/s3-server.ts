import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CreateBucketCommand, PutBucketPolicyCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import { fetchCephTools, startCeph, whyNoCeph } from './ceph/index.ts';

/** What a client signs with. */
export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Somebody who owns nothing and may do nothing, until a bucket's policy says so. */
export interface S3User extends S3Keys {
  readonly name: string;
  /** As a policy names it: `"Principal": { "AWS": [arn] }`. */
  readonly arn: string;
}

export interface BucketOptions {
  versioning?: boolean;
  /** Brings versioning along, as S3 has it. */
  objectLock?: boolean;
  /** A bucket policy, made for the bucket's name. */
  policy?: (bucket: string) => object;
  /** More bytes than these are refused with QuotaExceeded. */
  maxBytes?: number;
}

/** A real S3 server: Ceph's gateway, with one store in memory. */
export interface S3Server extends AsyncDisposable {
  /** Of Ceph, such as `20.2.4`. Below 20 it ignores SHA-256 checksums, and conditions at the end of a multipart upload. */
  readonly version: string;
  /** `http://127.0.0.1:PORT`; buckets stand in the path. */
  readonly endpoint: string;
  readonly region: string;
  /** Of the owner of every bucket made here. */
  readonly admin: S3Keys;
  /** Makes one under a fresh name, and gives the name. */
  makeBucket(options?: BucketOptions): Promise<string>;
  makeUser(): Promise<S3User>;
  /** From here on the keys of a user are worth nothing. */
  suspendUser(name: string): Promise<void>;
  /** A client of Amazon's, for what a test wants to look at or to do from outside; the caller destroys it. */
  client(keys?: S3Keys): S3Client;
  /** Ends it, unless it is the one that a whole run of tests shares. */
  stop(): Promise<void>;
}

/** Where a run of all tests hands its one server on to every test file. */
const sharedVariable = 'HOLDFAST_TEST_S3_SERVER';
/** Ceph takes any region that is not another one of its own. */
const region = 'us-east-1';

/** What is needed to use a server from another process. */
interface Reach {
  version: string;
  endpoint: string;
  admin: S3Keys;
  /** The owner and all users are of one account, as at Amazon: what a user puts is the account's and not the user's. `null` with old versions. */
  account: string | null;
  configuration: string;
  binDirectory: string;
}

/** The reason to skip what needs an S3 server, or `false`; as `whyNoCeph`. */
export const whyNoS3Server: () => string | false = whyNoCeph;

/** The server of this run of tests, or one for the caller alone, which takes about 13 seconds to start. */
export async function startS3Server(): Promise<S3Server> {
  const shared = process.env[sharedVariable];
  if (shared !== undefined) return reachServer(JSON.parse(shared) as Reach, async () => {});
  const { reach, stop } = await startAlone();
  return reachServer(reach, stop);
}

/** Starts the one server of a run of tests: every process that this one starts from now on finds it. */
export async function shareS3Server(): Promise<AsyncDisposable> {
  const { reach, stop } = await startAlone();
  process.env[sharedVariable] = JSON.stringify(reach);
  return {
    [Symbol.asyncDispose]: async () => {
      delete process.env[sharedVariable];
      await stop();
    },
  };
}

async function startAlone(): Promise<{ reach: Reach; stop: () => Promise<void> }> {
  const { version, binDirectory, ...tools } = await fetchCephTools();
  const { endpoint, configuration, stop } = await startCeph({ version, binDirectory, ...tools });
  try {
    const call = { binDirectory, configuration };
    const account = await createAccount(call, version);
    const admin = await createUser(call, 'owner', [
      ...inAccount(account),
      ...(account === null ? [] : ['--account-root']),
    ]);
    return { reach: { version, endpoint, admin, account, ...call }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function reachServer(reach: Reach, stop: () => Promise<void>): S3Server {
  const { version, endpoint, admin, account } = reach;
  const client = ({ accessKeyId, secretAccessKey }: S3Keys = admin) =>
    new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  return {
    ...{ version, endpoint, region, admin, client, stop },
    makeBucket: async (options = {}) => {
      const name = `test-${randomBytes(6).toString('hex')}`;
      const owner = client();
      try {
        await fillBucket(owner, name, options);
      } finally {
        owner.destroy();
      }
      if (options.maxBytes !== undefined) {
        const bucket = ['--quota-scope=bucket', `--bucket=${name}`];
        await administer(reach, ['quota', 'set', ...bucket, `--max-size=${options.maxBytes}`]);
        await administer(reach, ['quota', 'enable', ...bucket]);
      }
      return name;
    },
    makeUser: async () => {
      const name = `user-${randomBytes(6).toString('hex')}`;
      const keys = await createUser(reach, name, inAccount(account));
      return { ...keys, name, arn: `arn:aws:iam::${account ?? ''}:user/${name}` };
    },
    suspendUser: async (name) => void (await administer(reach, ['user', 'suspend', `--uid=${name}`])),
    [Symbol.asyncDispose]: stop,
  };
}

async function fillBucket(owner: S3Client, name: string, options: BucketOptions): Promise<void> {
  const { versioning = false, objectLock = false, policy } = options;
  await owner.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }));
  if (versioning && !objectLock) {
    const configuration = { Status: 'Enabled' } as const;
    await owner.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: configuration }));
  }
  if (policy !== undefined) {
    await owner.send(new PutBucketPolicyCommand({ Bucket: name, Policy: JSON.stringify(policy(name)) }));
  }
}

type Call = Pick<Reach, 'configuration' | 'binDirectory'>;

async function createAccount(call: Call, version: string): Promise<string | null> {
  if (Number.parseInt(version, 10) < 20) return null;
  const { id } = JSON.parse(await administer(call, ['account', 'create', '--account-name=tests'])) as { id: string };
  return id;
}

function inAccount(account: string | null): string[] {
  return account === null ? [] : [`--account-id=${account}`];
}

async function createUser(call: Call, name: string, more: readonly string[]): Promise<S3Keys> {
  const printed = await administer(call, ['user', 'create', `--uid=${name}`, `--display-name=${name}`, ...more]);
  const { keys } = JSON.parse(printed) as { keys: { access_key: string; secret_key: string }[] };
  const [first] = keys;
  if (first === undefined) throw new Error(`the user "${name}" has no keys: ${printed}`);
  return { accessKeyId: first.access_key, secretAccessKey: first.secret_key };
}

async function administer({ configuration, binDirectory }: Call, words: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(join(binDirectory, 'radosgw-admin'), [
    '--conf',
    configuration,
    ...words,
  ]);
  return stdout;
}
