import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, stat, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Secret } from '../../src/lib/index.ts';
import { type ObjectStore, openStore, type StoreCredentials } from '../../src/repository/index.ts';
import { type AzureServer, startAzureServer } from '../support/azure-server.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { namesIn } from '../support/listing.ts';
import { type S3Keys, type S3Server, startS3Server, whyNoS3Server } from '../support/s3-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

type Environment = Readonly<Record<string, string>>;

interface ErrorDocument {
  error: { code: string; message: string; detail?: string; hints: string[] };
}

interface DoctorDocument {
  checks: { code: string; verdict: string; found: string | null }[];
}

/** What a place is refused for, and how it is told to the command. */
interface Refusal {
  readonly code: string;
  readonly location: string;
  readonly environment: Environment;
  readonly lock?: string;
  readonly exitCode?: number;
}

const timeoutMs = 120_000;

describe('a place where no repository can be', { skip: whyNoS3Server(), timeout: timeoutMs }, () => {
  let scratch: string;
  let s3: S3Server;
  let azure: AzureServer;
  let s3Proxy: FaultProxy;
  let azureProxy: FaultProxy;
  const servers: Server[] = [];
  let count = 0;

  before(async () => {
    scratch = await makeScratchDirectory('places');
    [s3, azure] = await Promise.all([startS3Server(), startAzureServer()]);
    s3Proxy = await startFaultProxy({ target: s3.endpoint });
    azureProxy = await startFaultProxy({ target: new URL(azure.endpoint).origin });
  });
  after(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    await s3Proxy?.[Symbol.asyncDispose]();
    await azureProxy?.[Symbol.asyncDispose]();
    await azure?.stop();
    await s3?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  const s3Address = (bucket: string, endpoint = s3.endpoint) => `s3://${bucket}/shop?endpoint=${endpoint}`;
  const azureAddress = (container: string, endpoint = azure.endpoint) =>
    `azure://${azure.account}/${container}/shop?endpoint=${endpoint}`;
  const withKeys = ({ accessKeyId, secretAccessKey }: S3Keys): Environment => ({
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  });
  const withKey = (): Environment => ({ AZURE_STORAGE_KEY: azure.key });
  const withToken = (token: string): Environment => ({ AZURE_STORAGE_SAS_TOKEN: token });

  /** A place with all rights, as a test looks at it from outside. */
  function look(location: string): ObjectStore {
    const [accessKeyId, secretAccessKey] = [s3.admin.accessKeyId, new Secret(s3.admin.secretAccessKey)];
    const credentials: StoreCredentials = location.startsWith('s3:')
      ? { kind: 'access-key', accessKeyId, secretAccessKey }
      : { kind: 'account-key', key: new Secret(azure.key) };
    return openStore(location, { credentials });
  }

  async function startServer(answer: Parameters<typeof createServer>[1]): Promise<string> {
    const server = createServer(answer as never);
    servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** A server of S3 that gives one answer to everything. */
  const answering = (status: number, code: string, headers: Environment = {}) =>
    startServer((_, answer) => {
      answer.writeHead(status, { 'content-type': 'application/xml', ...headers });
      answer.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
    });

  async function init({ location, environment, lock }: Omit<Refusal, 'code'>) {
    count += 1;
    const keyFile = join(scratch, `key-${count}`);
    const plan = join(scratch, `plan-${count}.json`);
    const primary = lock === undefined ? location : { location, lock };
    await writeFile(plan, JSON.stringify({ clusters: [{ name: 'shop' }], repository: { primary } }));
    const surroundings = { environment: { ...environment, HOLDFAST_STATE_DIR: join(scratch, `state-${count}`) } };
    const words = ['repository', 'init', '--plan', plan, '--generate-key-file', keyFile, '--json'];
    return { ...surroundings, keyFile, run: await runHoldfast(words, surroundings) };
  }

  /** It is refused with its own error, in words that help and tell no secret, and nothing is left: no key, no object. */
  async function isRefused(refusal: Refusal, left: readonly string[] | 'not-there' = []): Promise<void> {
    const { run, keyFile } = await init(refusal);
    const { error } = documentOf<ErrorDocument>(run);
    assert.equal(error.code, refusal.code, `${error.message} ${error.detail}`);
    assert.equal(run.code, refusal.exitCode ?? 1);
    assert.ok(error.hints.length > 0 && (error.detail ?? '').length > 0);
    for (const secret of Object.values(refusal.environment)) {
      for (const part of [secret, new URLSearchParams(secret).get('sig') ?? secret]) {
        assert.ok(part === azure.account || !(run.stdout + run.stderr).includes(part), 'a secret is told');
      }
    }
    await assert.rejects(stat(keyFile), { code: 'ENOENT' }, 'a key that opens nothing is left behind');
    if (left === 'not-there') return;
    const { protocol, host, pathname } = new URL(refusal.location);
    const endpoint = protocol === 's3:' ? s3.endpoint : azure.endpoint;
    const names = await namesIn(look(`${protocol}//${host}${pathname}?endpoint=${endpoint}`));
    assert.deepEqual(names, left);
  }

  it('is missing', async () => {
    const [code, s3Keys] = ['STORE_ABSENT', withKeys(s3.admin)];
    await isRefused({ code, location: s3Address('no-such-bucket'), environment: s3Keys }, 'not-there');
    await isRefused({ code, location: azureAddress('no-such-container'), environment: withKey() }, 'not-there');
  });

  it('is in another region', async () => {
    const location = s3Address(
      'backups',
      await answering(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-3' }),
    );
    const [code, environment] = ['STORE_REGION_WRONG', withKeys(s3.admin)];
    await isRefused({ code, location: `${location}&region=eu-central-1`, environment }, 'not-there');
  });

  it('is denied to us', async () => {
    const [code, bucket, container] = ['STORE_DENIED', await s3.makeBucket(), await azure.makeContainer()];
    await isRefused({ code, location: s3Address(bucket), environment: withKeys(await s3.makeUser()) });
    const token = await azure.makeToken(container, 'rl');
    await isRefused({ code, location: azureAddress(container), environment: withToken(token) });
  });

  it('was opened to us until a while ago', async () => {
    const [code, container] = ['STORE_CREDENTIALS_EXPIRED', await azure.makeContainer()];
    const token = await azure.makeToken(container, 'racwdl', -60_000);
    await isRefused({ code, location: azureAddress(container), environment: withToken(token) });
    const location = s3Address('backups', await answering(400, 'ExpiredToken'));
    const environment = { ...withKeys(s3.admin), AWS_SESSION_TOKEN: 'a-token-of-yesterday' };
    await isRefused({ code, location, environment }, 'not-there');
  });

  it('cannot lock what the plan wants locked', async () => {
    const [code, bucket, container] = ['STORE_LOCK_ABSENT', await s3.makeBucket(), await azure.makeContainer()];
    const common = { code, lock: '30d', exitCode: 4 };
    await isRefused({ ...common, location: s3Address(bucket), environment: withKeys(s3.admin) });
    await isRefused({ ...common, location: azureAddress(container), environment: withKey() });
  });

  it('is full', async () => {
    const bucket = await s3.makeBucket({ maxBytes: 1 });
    await isRefused({ code: 'STORE_FULL', location: s3Address(bucket), environment: withKeys(s3.admin) });
  });

  it('has another time than this host', async () => {
    const [code, bucket, container] = ['STORE_CLOCK_SKEWED', await s3.makeBucket(), await azure.makeContainer()];
    s3Proxy.use(() => 'skewed-clock');
    await isRefused({ code, location: s3Address(bucket, s3Proxy.endpoint), environment: withKeys(s3.admin) });
    const date = new Date(Date.now() + 60 * 60_000).toUTCString();
    const location = s3Address(bucket, await answering(403, 'RequestTimeTooSkewed', { date }));
    await isRefused({ code, location, environment: withKeys(s3.admin) });
    azureProxy.use(() => 'skewed-clock');
    const endpoint = `${azureProxy.endpoint}/${azure.account}`;
    await isRefused({ code, location: azureAddress(container, endpoint), environment: withKey() });
  });

  it('lets a second object replace the first one', async () => {
    const container = await azure.makeContainer();
    const { hostname, port } = new URL(azure.endpoint);
    // A gateway that drops what it does not know; a token, unlike a key, signs no headers.
    const gateway = await startServer((asked, answer) => {
      const { 'if-none-match': _, ...headers } = asked.headers;
      const passed = request({ hostname, port, method: asked.method, path: asked.url, headers }, (from) => {
        answer.writeHead(from.statusCode!, from.headers);
        from.pipe(answer);
      });
      asked.pipe(passed);
    });
    const environment = withToken(await azure.makeToken(container, 'racwdl'));
    const location = azureAddress(container, `${gateway}/${azure.account}`);
    await isRefused({ code: 'STORE_OVERWRITES', location, environment, exitCode: 4 });
  });

  it('holds another repository, or something of somebody else', async () => {
    for (const [location, environment] of [
      [s3Address(await s3.makeBucket()), withKeys(s3.admin)],
      [azureAddress(await azure.makeContainer()), withKey()],
    ] as const) {
      const store = look(location);
      await store.putIfAbsent('letters/anna.txt', Buffer.from('Dear Anna'));
      await isRefused({ code: 'REPOSITORY_PLACE_NOT_EMPTY', location, environment, exitCode: 4 }, ['letters/anna.txt']);
      await store.delete('letters/anna.txt');
      const created = await init({ location, environment });
      assert.equal(created.run.code, 0, created.run.stderr);
      const names = await namesIn(store);
      assert.ok(names.includes('format') && !names.some((name) => name.startsWith('volatile/probe-')));
      await isRefused({ code: 'REPOSITORY_EXISTS', location, environment, exitCode: 4 }, names);
      await isLookedAtByDoctor(location, { ...created.environment, HOLDFAST_KEY_FILE: created.keyFile });
      assert.deepEqual(await namesIn(store), names);
    }
  });

  async function isLookedAtByDoctor(location: string, environment: Environment): Promise<void> {
    const run = await runHoldfast(['doctor', '--repository', location, '--json'], { environment });
    const { checks } = documentOf<DoctorDocument>(run);
    const verdicts = Object.fromEntries(checks.map(({ code, verdict }) => [code, verdict]));
    for (const code of [
      'write',
      'create-once',
      'create-once-at-once',
      'read-back',
      'range',
      'list',
      'overwrite',
      'delete',
    ]) {
      assert.equal(verdicts[`store-${code}`], 'ok', `${location}: store-${code}`);
    }
    assert.equal(verdicts['clock-store'], 'ok');
    assert.equal(verdicts['store-lock'], 'warning');
    assert.equal(verdicts['store-versioning'], location.startsWith('s3:') ? 'warning' : 'unseen');
  }
});
