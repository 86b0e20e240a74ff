import { readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../lib/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import {
  kindPrefix,
  leaseRecord,
  type ObjectStore,
  probeStore,
  type Repository,
  SPOOL_DIRECTORY,
  spoolOwnerState,
} from '../../repository/index.ts';
import type { LeaseFacts, StoreFacts } from './store-facts.ts';

/** Tries the store with two small objects, which are removed again, and looks at its directory. Errors: none of the store's; they are facts. */
export async function gatherStore(store: ObjectStore, directory: string | null, clock: Clock): Promise<StoreFacts> {
  return {
    description: store.description,
    directory,
    probe: await tryProbe(store, clock),
    owner: directory === null ? null : await readOwner(directory),
    leftOvers: directory === null ? [] : await listLeftOvers(directory),
  };
}

async function tryProbe(store: ObjectStore, clock: Clock): Promise<StoreFacts['probe']> {
  try {
    return { kind: 'done', facts: await probeStore(store, { clock }) };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { kind: 'failed', code: error.code, sentence: [`${error.message}.`, error.detail ?? ''].join(' ').trim() };
  }
}

async function readOwner(directory: string): Promise<StoreFacts['owner']> {
  try {
    const { mode, uid } = await stat(directory);
    return { mode: mode & 0o7777, isOurs: uid === process.getuid?.(), user: uid };
  } catch {
    // The probe tells what is wrong with it.
    return null;
  }
}

/** Paths of spool files that nobody writes any more. */
async function listLeftOvers(directory: string): Promise<string[]> {
  const spool = join(directory, SPOOL_DIRECTORY);
  // Without a spool there is nothing in it.
  const names = await readdir(spool).catch(() => []);
  return names.filter((name) => spoolOwnerState(name) === 'dead').map((name) => join(spool, name));
}

/** The leases that are not over, by the store's clock. One that cannot be read is nobody's. Errors: those of the store. */
export async function listLeases(repository: Repository): Promise<LeaseFacts[]> {
  const now = await repository.store.now();
  const leases: LeaseFacts[] = [];
  for await (const { name } of repository.store.list(kindPrefix('lease'))) {
    const parsed = leaseRecord.safeParse(await repository.getJson('lease', name).catch(() => null));
    if (!parsed.success) continue;
    const { purpose, host, pid, startedAt, expiresAt } = parsed.data;
    if (Date.parse(expiresAt) < now) continue;
    leases.push({
      ...{ purpose, host, pid, startedAt: Date.parse(startedAt), expiresAt: Date.parse(expiresAt) },
      mayBeAlive: host !== hostname() || isRunning(pid),
    });
  }
  return leases;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process is a process, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
