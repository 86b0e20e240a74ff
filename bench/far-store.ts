import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startFaultProxy } from '../test/support/fault-proxy.ts';
import { type S3Server, startS3Server } from '../test/support/s3-server.ts';
import { measureDirectoryBytes } from './contenders/index.ts';
import { type Command, measureCommand, runCommand } from './measure.ts';
import type { BenchServer } from './server.ts';
import { ratiosOf, type Spread, spreadOf } from './statistics.ts';

/** What the line between us and the store adds to each answer, and once more where a connection is opened. */
export const farDelayMs = 50;

/** One round: the same backup and the same restore through the same proxy, without and with the delay. */
export interface FarRound {
  readonly backupSeconds: { readonly near: number; readonly far: number };
  readonly restoreSeconds: { readonly near: number; readonly far: number };
  /** What the proxy passed on, of the backup and the restore together. */
  readonly requests: { readonly near: number; readonly far: number };
}

/** What a store that is far away costs. */
export interface FarResults {
  readonly storeVersion: string;
  readonly rounds: readonly FarRound[];
}

const program = fileURLToPath(new URL('../bin/holdfast', import.meta.url));

/**
 * Measures our backup and restore over S3, near and far in turn. Both go through the same proxy, so that what it costs itself is on both sides. The
 * order is turned around each round, and every run counts.
 */
export async function measureFarStore(
  server: BenchServer,
  options: { rounds: number },
  say: (text: string) => void,
): Promise<FarResults> {
  await using store = await startS3Server();
  await using proxy = await startFaultProxy({ target: store.endpoint });
  const rounds: FarRound[] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    const measured = new Map<number, FarRun>();
    for (const delayMs of round % 2 === 1 ? [0, farDelayMs] : [farDelayMs, 0]) {
      const directory = join(server.workplace.outside, `far-${round}-${delayMs}`);
      await mkdir(directory);
      proxy.delay(delayMs);
      const before = proxy.requests;
      const run = await measureRun(server, store, proxy.endpoint, directory);
      measured.set(delayMs, { ...run, requests: proxy.requests - before });
      await rm(directory, { recursive: true });
      say(
        `round ${round}  ${String(delayMs).padStart(2)} ms  backup ${run.backup.toFixed(2)} s, restore ${run.restore.toFixed(2)} s, ${proxy.requests - before} requests`,
      );
    }
    const [near, far] = [measured.get(0)!, measured.get(farDelayMs)!];
    rounds.push({
      backupSeconds: { near: near.backup, far: far.backup },
      restoreSeconds: { near: near.restore, far: far.restore },
      requests: { near: near.requests, far: far.requests },
    });
  }
  return { storeVersion: store.version, rounds };
}

interface FarRun {
  readonly backup: number;
  readonly restore: number;
  readonly requests: number;
}

async function measureRun(
  server: BenchServer,
  store: S3Server,
  endpoint: string,
  directory: string,
): Promise<Omit<FarRun, 'requests'>> {
  const location = `s3://${await store.makeBucket()}/bench?region=${store.region}&endpoint=${endpoint}&pathStyle=true`;
  const keyFile = join(directory, 'holdfast.key');
  const restored = join(directory, 'restored');
  const env = {
    DATABASE_URL: server.url,
    HOLDFAST_REPOSITORY: location,
    HOLDFAST_KEY_FILE: keyFile,
    HOLDFAST_STATE_DIR: join(directory, 'state'),
    AWS_ACCESS_KEY_ID: store.admin.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.admin.secretAccessKey,
    HOME: directory,
    NODE_COMPILE_CACHE: join(server.workplace.outside, 'compiled'),
  };
  const holdfast = (...args: string[]): Command => ({ program, args, env, cwd: directory });
  await runCommand(holdfast('repository', 'init', '--generate-key-file', keyFile));
  const backup = await measureCommand(holdfast('backup', '--cluster', 'bench', '--checkpoint', 'fast'), server.pid);
  const restore = await measureCommand(
    holdfast('restore', '--into', restored, '--cluster', 'bench', '--to', 'latest'),
    server.pid,
  );
  const [found, expected] = [restored, join(server.workplace.outside, 'data')].map((data) =>
    measureDirectoryBytes(join(data, 'base'), 'pg_internal.init*'),
  );
  if ((await found) !== (await expected)) throw new Error('a restore over S3 did not bring back all bytes below base');
  return { backup: backup.wallSeconds, restore: restore.wallSeconds };
}

/** The section of the report. */
export function formatFarStore({ storeVersion, rounds }: FarResults): string[] {
  const row = (name: string, of: (round: FarRound) => { near: number; far: number }, digits: number) => {
    const [near, far] = [rounds.map((round) => of(round).near), rounds.map((round) => of(round).far)];
    const cells = [spreadOf(near), spreadOf(far)].map((spread) => formatSpread(spread, digits));
    return `| ${name} | ${cells.join(' | ')} | ${formatSpread(ratiosOf(far, near), 2)} |`;
  };
  return [
    `A store that is far away: the same backup and restore over S3 (Ceph ${storeVersion}), each answer ${farDelayMs} ms later, and once more where a connection is opened. Rounds: ${rounds.length}.`,
    '',
    `| over S3 | 0 ms | ${farDelayMs} ms | far / near |`,
    '|---|---|---|---|',
    row('backup, wall s', ({ backupSeconds }) => backupSeconds, 2),
    row('restore, wall s', ({ restoreSeconds }) => restoreSeconds, 2),
    row('requests', ({ requests }) => requests, 0),
  ];
}

function formatSpread({ median, min, max }: Spread, digits: number): string {
  const [middle, least, most] = [median, min, max].map((value) => value.toFixed(digits));
  return least === most ? middle! : `${middle} (${least}–${most})`;
}
