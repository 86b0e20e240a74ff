import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../src/lib/index.ts';
import { readingOf } from '../../../src/protect/backup/index.ts';
import type { SnapshotRecord } from '../../../src/repository/index.ts';
import { startHoldfast } from '../command-line.ts';
import type { PostgresMajor } from '../postgres-binaries.ts';
import { type ProtectedServer, startProtectedServer } from '../protected-server.ts';
import { testPassphrase } from '../repository.ts';
import { type Random, seededRandom } from '../seeded-random.ts';
import { type Contents, readContents, type Sequences } from './contents.ts';
import { RandomChanges } from './random-changes.ts';

/** A moment at which nobody wrote, and all that there was. */
export interface Point {
  /** Of the restore point. */
  readonly name: string;
  /** The backup that ended before it; changes went on while it ran. */
  readonly snapshot: SnapshotRecord;
  readonly contents: Contents;
  readonly sequences: Sequences;
}

/** How a backup is taken; one that is killed is taken again, as an increment. */
type Manner = 'increment' | 'full' | 'direct' | 'killed';

const INCREMENTS: readonly Manner[] = ['increment', 'increment', 'killed'];
const ALL: readonly Manner[] = ['increment', 'full', 'direct'];

/** Before so many backups the server crashes once. */
const CRASH_ONE_IN = 5;

/** A command that starts is killed in this time, somewhere between its first steps and its end. */
const KILL_MS_MIN = 400;
const KILL_MS_MAX = 2500;
/** So slow that most of them are still on their way then. */
const KILLED_RATE = '16MiB';

export interface WorldOptions {
  readonly seed: number;
  readonly major: PostgresMajor;
  readonly backups: number;
  /** Between one backup and the next at most. */
  readonly changes: number;
}

/** A server that was changed at random, with backups in between. */
export interface ChangedWorld {
  readonly world: ProtectedServer;
  readonly changes: RandomChanges;
  readonly points: readonly Point[];
  /** What became of each backup, in words. */
  readonly backups: readonly string[];
  dispose(): Promise<void>;
}

/** What is told of each moment on the way, for whoever takes backups of their own beside ours. */
export type OnPoint = (made: ChangedWorld, point: Point) => Promise<void>;

/**
 * Starts a server, changes it and backs it up again and again: increments, fulls over the protocol and from the disk, and some that are killed and taken
 * again. The seed decides all that is done, not how long it takes: how far a backup is when something changes differs from run to run.
 */
export async function makeChangedWorld(
  options: WorldOptions,
  onPoint: OnPoint = async () => {},
): Promise<ChangedWorld> {
  const random = seededRandom(options.seed);
  const world = await startProtectedServer(options.major, {
    summarize_wal: 'on',
    max_prepared_transactions: '8',
    autovacuum: random.pick(['on', 'off', 'off']),
    autovacuum_naptime: '1s',
    wal_compression: random.pick(['off', 'pglz']),
    wal_log_hints: random.pick(['on', 'off']),
    wal_keep_size: '8GB',
    max_wal_size: '256MB',
    lock_timeout: '60s',
  });
  const directory = join(world.scratch, 'changes');
  await mkdir(directory);
  const changes = new RandomChanges(world.server, random, directory);
  const points: Point[] = [];
  const backups: string[] = [];
  const made: ChangedWorld = {
    ...{ world, changes, points, backups },
    dispose: async () => {
      await changes.dispose();
      await world.dispose();
    },
  };
  try {
    const grant = 'GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO backup';
    await world.server.query(grant);
    await changes.prepare();
    for (let number = 1; number <= options.backups; number++) {
      await changes.make(random.below(options.changes) + 1);
      if (changes.chance(CRASH_ONE_IN)) await changes.crash();
      // Every other one is an increment, whatever the seed.
      const manner = random.pick(number % 2 === 0 ? INCREMENTS : ALL);
      const meanwhile = changes.make(random.pick([0, 3, random.below(options.changes)]));
      const [snapshot] = await Promise.all([backUp(world, manner, random, backups), meanwhile]);
      const point = await markPoint(world, `point-${number}`, snapshot);
      points.push(point);
      await onPoint(made, point);
    }
    await world.settle();
    return made;
  } catch (error) {
    await made.dispose();
    throw error;
  }
}

async function backUp(world: ProtectedServer, manner: Manner, random: Random, told: string[]): Promise<SnapshotRecord> {
  const tell = (what: string, snapshot: SnapshotRecord) => {
    const reading = readingOf(snapshot);
    const why = reading?.manner === 'everything' && reading.why !== null ? ` (${reading.why})` : '';
    told.push(`${what}: ${reading?.manner}${why}`);
    return snapshot;
  };
  if (manner === 'full') return tell(manner, (await world.backUp({ type: 'full' })).snapshot);
  if (manner === 'direct') return tell(manner, (await world.backUp({ direct: true })).snapshot);
  if (manner === 'killed') {
    const ms = KILL_MS_MIN + random.below(KILL_MS_MAX - KILL_MS_MIN);
    told.push(
      `killed after ${ms} ms: ${await killBackup(world, ms, random.pick([[], ['--type', 'full'], ['--direct']]))}`,
    );
  }
  return tell('increment', (await world.backUp()).snapshot);
}

/** Starts a backup as a command and ends it from one moment to the next; says what became of it. */
async function killBackup(world: ProtectedServer, ms: number, flags: readonly string[]): Promise<string> {
  const { place, scratch, server } = world;
  const words = ['backup', '--cluster', 'main', '--max-rate', KILLED_RATE, '--checkpoint', 'fast', ...flags];
  const command = startHoldfast(words, {
    environment: {
      DATABASE_URL: server.backupSocketUrl,
      HOLDFAST_REPOSITORY: place.path,
      HOLDFAST_PASSPHRASE: testPassphrase,
      HOLDFAST_STATE_DIR: join(scratch, 'killed-state'),
    },
  });
  const patience = new AbortController();
  await Promise.race([command.ended, systemClock.sleep(ms, patience.signal)]);
  patience.abort();
  command.child.kill('SIGKILL');
  const { code, stderr } = await command.ended;
  if (code !== null && code !== 0) throw new Error(`the backup that was to be killed ended with ${code}:\n${stderr}`);
  return code === null ? 'in the middle' : 'it was done already';
}

/** Reads all that there is while nobody writes, and notes the moment in the WAL. */
export async function markPoint(world: ProtectedServer, name: string, snapshot: SnapshotRecord): Promise<Point> {
  const { server } = world;
  const read = await readContents((sql, database) => server.query(sql, database));
  await server.query(`SELECT pg_create_restore_point('${name}'); CHECKPOINT`);
  return { name, snapshot, ...read };
}

/** Removes a restored directory with its tablespaces. */
export async function removeRestored(into: string): Promise<void> {
  for (const path of [into, `${into}.tablespaces`]) await rm(path, { recursive: true, force: true });
}
