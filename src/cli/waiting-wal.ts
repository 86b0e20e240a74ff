import { type Clock, formatDuration, formatQuantity, HoldfastError } from '../lib/index.ts';
import type { ObjectStore, Repository, SpooledStore, WaitingStore } from '../repository/index.ts';

/** WAL that waits on this machine and that a command cannot use. */
export interface UnreadWal {
  /** 0 where they cannot be counted. */
  readonly objects: number;
  readonly directory: string;
  readonly reason: string;
  /** What it failed by; `null` where nothing failed, as other WAL is in its place. */
  readonly error: HoldfastError | null;
}

/** Nobody is kept waiting for the hand-over for longer; what is left goes with the next command. */
const PATIENCE_MS = 15 * 60_000;

/**
 * Brings WAL that an outage left on this machine into the primary, before a command builds on what lies there. Gives what could not be brought,
 * `null` when nothing waits any more.
 */
export async function handOverWaiting(options: {
  repository: Repository;
  primary: ObjectStore;
  directory: string;
  clock: Clock;
  tell: (count: number) => void;
}): Promise<UnreadWal | null> {
  const { repository, primary, directory, clock } = options;
  const { listSpooled, SpooledStore } = await import('../repository/index.ts');
  try {
    const names = await listSpooled(directory, repository.id);
    if (names.length === 0) return null;
    options.tell(names.length);
    const { judgeOfSpool } = await import('../protect/wal/index.ts');
    const spool = new SpooledStore({ primary, directory, clock, budgetBytes: 0 });
    spool.judgeBy(judgeOfSpool(repository));
    try {
      const drained = await spool.drain(PATIENCE_MS);
      // A primary that is away since may not even have let what waits be opened.
      const objects = spool.awayBy === null ? drained : (await listSpooled(directory, repository.id)).length;
      return objects === 0 ? null : { objects, directory, reason: whyLeft(spool), error: spool.awayBy };
    } finally {
      await spool.close();
    }
  } catch (error) {
    return unread(error, directory);
  }
}

export function describeHandingOver(count: number): string {
  return `hands over ${formatQuantity(count, 'object')} of WAL that waited on this machine`;
}

function whyLeft({ awayBy, isHandingOver }: Pick<SpooledStore, 'awayBy' | 'isHandingOver'>): string {
  if (awayBy !== null) return awayBy.message;
  return isHandingOver
    ? `the primary did not take all of it within ${formatDuration(PATIENCE_MS)}`
    : 'the primary has other WAL for the same positions';
}

/** Shows WAL that waits on this machine to a command that only reads. Gives what cannot be shown, `null` when nothing is left out. */
export async function showWaiting(options: {
  repository: Repository;
  waiting: WaitingStore;
  directory: string;
}): Promise<UnreadWal | null> {
  const { repository, waiting, directory } = options;
  const { judgeOfSpool } = await import('../protect/wal/index.ts');
  try {
    // It shows nothing yet: the repository's store is all places but this one.
    const hidden = await waiting.show(repository.id, judgeOfSpool(repository), repository.store);
    if (hidden.length === 0) return null;
    const reason = 'the repository has other WAL for the same positions';
    return { objects: hidden.length, directory, reason, error: null };
  } catch (error) {
    return unread(error, directory);
  }
}

/** What waits on this machine for a repository that is not opened, and why it stays; `null` when nothing does. */
export async function findWaiting(directory: string, repositoryId: string, reason: string): Promise<UnreadWal | null> {
  const { listSpooled } = await import('../repository/index.ts');
  try {
    const { length: objects } = await listSpooled(directory, repositoryId);
    return objects === 0 ? null : { objects, directory, reason, error: null };
  } catch (error) {
    return unread(error, directory);
  }
}

/** `3 objects of WAL wait`; how many is not known where they cannot be listed. */
export function describeWaiting({ objects }: UnreadWal): string {
  const count = objects === 0 ? 'some objects' : formatQuantity(objects, 'object');
  return `${count} of WAL ${objects === 1 ? 'waits' : 'wait'}`;
}

function unread(error: unknown, directory: string): UnreadWal {
  if (!(error instanceof HoldfastError)) throw error;
  return { objects: 0, directory, reason: error.message, error };
}

/**
 * Refuses what would take the end of the stored WAL for the end of all WAL, while newer WAL may wait on this machine that cannot be read.
 *
 * `wish` completes "cannot"; `hints` say how to do without it. Errors: WAL_WAITS_UNREAD, which may be over later where its cause may.
 */
export function refuseWithoutWaiting(unread: UnreadWal | null, wish: string, hints: readonly string[]): void {
  if (unread === null) return;
  throw new HoldfastError('WAL_WAITS_UNREAD', `cannot ${wish}: newer WAL waits on this machine`, {
    detail: [
      `Expected to read all that waits in "${unread.directory}", found that it cannot be: ${unread.reason}.`,
      ...(unread.error?.detail === undefined ? [] : [unread.error.detail]),
    ].join(' '),
    hints: [...(unread.error?.hints ?? []), ...hints],
    ...(unread.error === null ? {} : { retryable: unread.error.retryable, cause: unread.error }),
  });
}
