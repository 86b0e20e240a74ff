import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../lib/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import {
  isAbsent,
  kindPrefix,
  leaseRecord,
  type ObjectStore,
  type Repository,
  SPOOL_DIRECTORY,
  spoolOwnerState,
} from '../../repository/index.ts';
import type { LeaseFacts, ProbeFacts, StoreFacts } from './store-facts.ts';

/** Below `volatile/`, so that no reader of the repository ever looks at it. */
const PROBE_PREFIX = 'volatile/probe-';

/** Tries the store with one small object, which is removed again, and looks at its directory. Errors: none of the store's; they are facts. */
export async function gatherStore(store: ObjectStore, directory: string | null, clock: Clock): Promise<StoreFacts> {
  return {
    description: store.description,
    directory,
    offsetMs: await measureOffset(store, clock),
    probe: await tryProbe(store, clock),
    owner: directory === null ? null : await readOwner(directory),
    leftOvers: directory === null ? [] : await listLeftOvers(directory),
  };
}

async function measureOffset(store: ObjectStore, clock: Clock): Promise<number | null> {
  try {
    return (await store.now()) - clock.now();
  } catch (error) {
    // The probe tells what is wrong with it.
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

async function tryProbe(store: ObjectStore, clock: Clock): Promise<StoreFacts['probe']> {
  try {
    return { kind: 'done', facts: await probeStore(store, clock) };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return { kind: 'failed', code: error.code, sentence: [`${error.message}.`, error.detail ?? ''].join(' ').trim() };
  }
}

/** Rule B6: create-once, list-after-write, read-back and delete, each tried. Errors: those of the store. */
export async function probeStore(store: ObjectStore, clock: Clock): Promise<ProbeFacts> {
  const name = `${PROBE_PREFIX}${randomBytes(16).toString('hex')}`;
  const [first, second] = [randomBytes(64), randomBytes(64)];
  const started = clock.monotonic();
  const created = await store.putIfAbsent(name, first);
  const writeMs = clock.monotonic() - started;
  try {
    const again = await store.putIfAbsent(name, second);
    const readStarted = clock.monotonic();
    const found = await store.get(name);
    const readMs = clock.monotonic() - readStarted;
    const listsAfterWrite = await isListed(store, name);
    await store.delete(name);
    const deletes = await isGone(store, name);
    return {
      ...{ listsAfterWrite, deletes, writeMs, readMs },
      readsBack: found.equals(first) || found.equals(second),
      keepsFirst: created === 'created' && again === 'exists' && found.equals(first),
    };
  } finally {
    // Whatever failed: deleting again does no harm, and the error that matters is on its way already.
    await store.delete(name).catch(() => {});
  }
}

async function isListed(store: ObjectStore, name: string): Promise<boolean> {
  for await (const entry of store.list(PROBE_PREFIX)) if (entry.name === name) return true;
  return false;
}

async function isGone(store: ObjectStore, name: string): Promise<boolean> {
  try {
    await store.get(name);
    return false;
  } catch (error) {
    if (isAbsent(error)) return !(await isListed(store, name));
    throw error;
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
