import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { appendFile, chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { startProcessGuard } from '../test/support/process-guard.ts';
import { nobody } from '../test/support/scratch.ts';
import { type Peers, peerUser } from './peers.ts';

const run = promisify(execFile);

/** A directory inside the peers' root, so that programs in it and outside of it see the same files. */
export interface Workplace {
  /** As seen from outside the root. */
  outside: string;
  /** As seen from inside. */
  inside: string;
}

/** The server that is backed up: the peers' own PostgreSQL 18, over a Unix socket. */
export interface BenchServer extends AsyncDisposable {
  workplace: Workplace;
  pid: number;
  port: number;
  /** For programs outside of the root. */
  url: string;
  connect(): Promise<pg.Client>;
  restart(settings: Record<string, string>): Promise<void>;
  stop(): Promise<void>;
}

/** Only names the socket: the server listens on no port. */
const port = 5432;
const startWaitMsMax = 60_000;

/** The machine is to be quiet, and WAL to be what a backup needs, not what a load left. */
const settings: Record<string, string> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  shared_buffers: '256MB',
  dynamic_shared_memory_type: 'mmap', // There is no /dev/shm in the root.
  max_wal_size: '1GB',
  min_wal_size: '80MB',
  checkpoint_timeout: '1h',
  autovacuum: 'off',
  timezone: 'UTC',
  max_wal_senders: '10',
  summarize_wal: 'on',
};

/** Makes a workplace and a fresh cluster in it, and starts it. Everything goes when this process does. */
export async function startBenchServer(peers: Peers): Promise<BenchServer> {
  const parent = join(peers.root, 'w');
  await mkdir(parent, { recursive: true, mode: 0o755 });
  // A short name: a socket's path has 107 bytes at most.
  const outside = await mkdtemp(join(parent, 'b'));
  const guard = startProcessGuard(outside);
  const workplace = { outside, inside: outside.slice(peers.root.length) };
  let child: ChildProcess | undefined;
  const stop = async () => {
    if (child === undefined) return;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGINT');
    await ended;
    child = undefined;
    guard.watch(undefined);
  };
  const start = async (overrides: Record<string, string>) => {
    child = launch(peers, workplace, overrides);
    guard.watch(child.pid);
    await waitUntilReady(workplace, child);
    return child.pid ?? -1;
  };
  try {
    await createCluster(peers, workplace);
    const server: BenchServer = {
      workplace,
      pid: await start({}),
      port,
      url: `postgresql://postgres@/postgres?host=${encodeURIComponent(join(outside, 's'))}&port=${port}`,
      connect: () => connect(workplace),
      restart: async (overrides) => {
        await stop();
        server.pid = await start(overrides);
      },
      stop: async () => {
        await stop();
        guard.dismiss();
        await rm(outside, { recursive: true, force: true });
      },
      [Symbol.asyncDispose]: () => server.stop(),
    };
    return server;
  } catch (error) {
    await stop();
    guard.dismiss();
    await rm(outside, { recursive: true, force: true });
    throw error;
  }
}

async function createCluster(peers: Peers, workplace: Workplace): Promise<void> {
  // Whoever reaches the socket is let in, so the way to it is closed to everybody but root and the server.
  await chmod(workplace.outside, 0o700);
  await chown(workplace.outside, nobody.uid, nobody.gid);
  await mkdir(join(workplace.outside, 's'));
  await chown(join(workplace.outside, 's'), nobody.uid, nobody.gid);
  const data = join(workplace.inside, 'data');
  const initdb = [
    'initdb',
    '-D',
    data,
    '-U',
    'postgres',
    '--auth=trust',
    '--no-locale',
    '--encoding=UTF8',
    '--no-sync',
  ];
  await run('chroot', [`--userspec=${peerUser}`, peers.root, `${peers.postgresBin}/${initdb[0]}`, ...initdb.slice(1)]);
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
  await appendFile(join(workplace.outside, 'data', 'postgresql.conf'), lines.join(''));
  await writeFile(join(workplace.outside, 'server.log'), '');
}

function launch(peers: Peers, workplace: Workplace, overrides: Record<string, string>): ChildProcess {
  const given = Object.entries(overrides).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const paths = ['-D', join(workplace.inside, 'data'), '-k', join(workplace.inside, 's'), '-p', String(port)];
  // chroot becomes the server: its process id is the postmaster's.
  return spawn('chroot', [`--userspec=${peerUser}`, peers.root, `${peers.postgresBin}/postgres`, ...paths, ...given], {
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
}

async function waitUntilReady(workplace: Workplace, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + startWaitMsMax;
  const pidFile = join(workplace.outside, 'data', 'postmaster.pid');
  while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
    const lines = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n'); // Not written yet.
    if (lines[0] === String(child.pid) && lines[7]?.startsWith('ready')) return;
    await delay(20);
  }
  throw new Error(`the server of the bench did not start (exit code ${child.exitCode})`);
}

async function connect(workplace: Workplace): Promise<pg.Client> {
  const client = new pg.Client({ host: join(workplace.outside, 's'), port, user: 'postgres', database: 'postgres' });
  await client.connect();
  return client;
}
