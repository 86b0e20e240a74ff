import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BlobServiceClient, ContainerSASPermissions, StorageSharedKeyCredential } from '@azure/storage-blob';
import { messageOf } from '../../src/lib/index.ts';
import { cacheDirectory, createOnce } from './postgres-binaries.ts';
import { startProcessGuard } from './process-guard.ts';
import { makeScratchDirectory } from './scratch.ts';

/** Azure's blob service as its own emulator has it: conditions, leases, signatures and tokens, but no locks that hold. */
export interface AzureServer extends AsyncDisposable {
  /** Of Azurite, such as `3.37.0`. */
  readonly version: string;
  /** `http://127.0.0.1:PORT/ACCOUNT`: as with every emulator the account stands in the path. */
  readonly endpoint: string;
  readonly account: string;
  readonly key: string;
  /** Makes one under a fresh name, and gives the name. */
  makeContainer(): Promise<string>;
  /** A token for a container, good for an hour unless said otherwise; `permissions` such as `racwdl`. */
  makeToken(container: string, permissions: string, validMs?: number): Promise<string>;
  /** A client of Azure's with the account's key. */
  client(): BlobServiceClient;
  stop(): Promise<void>;
}

const emulators = fileURLToPath(new URL('../../toolchain/emulators/', import.meta.url));
const installFiles = ['package.json', 'package-lock.json', '.npmrc'];
/** A registry may be slow for a moment. */
const attemptsMax = 3;
const installWaitMsMax = 5 * 60_000;
const startWaitMsMax = 60_000;
const hourMs = 60 * 60_000;

/**
 * Starts an own server, which takes about a second; it is fetched into the cache when this is the first time (380 packages, 245 MB). It
 * ends with the process that started it, however that ends.
 */
export async function startAzureServer(): Promise<AzureServer> {
  const folder = join(await installEmulators(), 'node_modules/azurite');
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  const directory = await makeScratchDirectory('azurite');
  const guard = startProcessGuard(directory, 'KILL');
  const [account, key] = ['holdfasttests', randomBytes(64).toString('base64')];
  const words = ['--blobHost', '127.0.0.1', '--blobPort', '0', '--location', directory, '--disableTelemetry'];
  words.push('--skipApiVersionCheck'); // Azure's client is a version of the interface ahead of the emulator.
  const server = spawn(process.execPath, [join(folder, 'dist/src/blob/main.js'), ...words], {
    cwd: directory,
    env: { ...process.env, AZURITE_ACCOUNTS: `${account}:${key}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  guard.watch(server.pid);
  server.unref(); // A test that forgets its server still ends, and the guard ends the server.
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      const exited = once(server, 'exit');
      server.kill('SIGKILL');
      await exited;
    }
    guard.dismiss();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const endpoint = `${await readAddress(server)}/${account}`;
    return { ...describe({ endpoint, account, key }), version, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function describe({ endpoint, account, key }: Pick<AzureServer, 'endpoint' | 'account' | 'key'>) {
  const client = () => new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key));
  const makeContainer = async () => {
    const name = `test-${randomBytes(6).toString('hex')}`;
    await client().createContainer(name);
    return name;
  };
  const makeToken = async (container: string, permissions: string, validMs = hourMs) => {
    const address = await client()
      .getContainerClient(container)
      .generateSasUrl({
        permissions: ContainerSASPermissions.parse(permissions),
        startsOn: new Date(Date.now() - hourMs),
        expiresOn: new Date(Date.now() + validMs),
      });
    return new URL(address).search.slice(1);
  };
  return { endpoint, account, key, client, makeContainer, makeToken };
}

/** The emulators of the toolchain, installed as their lock file says. They are big, and only tests want them. */
async function installEmulators(): Promise<string> {
  const lock = await readFile(join(emulators, 'package-lock.json'));
  const name = `emulators-${createHash('sha256').update(lock).digest('hex').slice(0, 16)}`;
  return await createOnce(join(await cacheDirectory(), name), async (unfinished) => {
    await mkdir(unfinished);
    for (const file of installFiles) await copyFile(join(emulators, file), join(unfinished, file));
    // None of the packages needs its install script.
    const words = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    for (let attempt = 1; ; attempt++) {
      try {
        await promisify(execFile)('npm', words, { cwd: unfinished, timeout: installWaitMsMax });
        return;
      } catch (error) {
        if (attempt === attemptsMax) throw new Error(`npm ci failed for the emulators: ${messageOf(error)}`);
        await delay(3_000 * attempt);
      }
    }
  });
}

/** What it listens at, from what it prints; it goes on printing each request, which is let through to nowhere. */
async function readAddress(server: ChildProcess): Promise<string> {
  const late = AbortSignal.timeout(startWaitMsMax);
  return await new Promise((resolve, reject) => {
    let printed = '';
    const fail = () => reject(new Error(`Azurite did not start:\n${printed}`));
    late.addEventListener('abort', fail);
    server.once('error', fail).once('exit', fail);
    for (const stream of [server.stdout, server.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        if (printed.length < 10_000) printed += text;
        const address = /listens on (http:\S+)/.exec(printed)?.[1];
        if (address !== undefined) resolve(address);
      });
      (stream as Socket | null)?.unref();
    }
  });
}
