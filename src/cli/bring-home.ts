import { formatBytes, formatQuantity, HoldfastError, messageOf, type Progress, silentProgress } from '../lib/index.ts';
import type { BroughtHome } from '../protect/backup/index.ts';
import type { Repository } from '../repository/index.ts';
import type { CommandContext } from './command.ts';
import { type Json, shortId } from './output/index.ts';

/** Whoever runs for long looks so often for backups that copies alone have: they are rare, and a look is two listings for each copy. */
const LOOK_MS = 60_000;

type HomeContext = Pick<CommandContext, 'plan' | 'clock' | 'progress' | 'signal'> & {
  readonly repository: Repository;
  /** The most that is brought in a second. */
  readonly bytesPerSecond?: number;
};

/**
 * Brings to the primary what was backed up while it was away, and tells of each. For commands that write and whose primary answers; at once where there
 * are no copies. Errors: as `bringHome`.
 */
export async function bringBackupsHome(context: HomeContext): Promise<readonly BroughtHome[]> {
  const { repository, clock, progress, signal } = context;
  if ((repository.store.places ?? []).length < 2) return [];
  const { bringHome } = await import('../protect/backup/index.ts');
  const { stateDirectory } = context.plan;
  const { bytesPerSecond } = context;
  const rate = bytesPerSecond === undefined ? {} : { bytesPerSecond };
  const brought = await bringHome({ repository, stateDirectory, clock, progress, signal, ...rate });
  for (const each of brought) progress.note(describeBrought(each));
  return brought;
}

/**
 * Brings the WAL of such backups alone, before a receiver stores the same WAL, sealed otherwise than the copies have it. What is in the way of that is
 * no reason to receive none: it is told.
 */
export async function bringWalHome({ repository, plan, clock, progress, signal }: HomeContext): Promise<void> {
  if ((repository.store.places ?? []).length < 2) return;
  const { bringHome } = await import('../protect/backup/index.ts');
  const { stateDirectory } = plan;
  try {
    const quiet = quietly(progress);
    await bringHome({ repository, stateDirectory, clock, progress: quiet, signal, walOnly: true });
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    progress.note(`WAL of backups of an outage stays in the copies for now: ${error.message}`);
  }
}

/** The stages that are shown are those of the work beside it. */
function quietly(progress: Progress): Progress {
  return { ...silentProgress, note: (line: string) => progress.note(line) };
}

/** Brings whole backups again and again beside other work, until it is disposed. `isAway`: whether the primary is. Never throws. */
export function keepBringingHome(context: HomeContext, isAway: () => boolean): AsyncDisposable {
  const { repository, plan, clock, progress } = context;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const quiet = quietly(progress);
  const bring = async () => {
    for (let last = ''; !signal.aborted; await clock.sleep(LOOK_MS, signal)) {
      try {
        if (!isAway()) await bringBackupsHome({ repository, plan, clock, signal, progress: quiet });
        last = '';
      } catch (error) {
        // Whoever is beside it tells of the places; the next look tries again.
        const said = messageOf(error);
        if (said !== last && !signal.aborted) progress.note(`backups of an outage stay in the copies for now: ${said}`);
        last = said;
      }
    }
  };
  const bringing = bring();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await bringing;
    },
  };
}

function describeBrought({ away, objects, bytes, error }: BroughtHome): string {
  const { id } = away.snapshot;
  const from = away.copies.map(({ name }) => `"${name}"`).join(', ');
  return error === null
    ? `brought snapshot ${shortId(id)} to the primary from copy ${from}: ${formatQuantity(objects, 'object')}, ${formatBytes(bytes)}`
    : `snapshot ${shortId(id)} stays in copy ${from} for now: ${error.message}`;
}

/** What was brought to the primary, in a result. */
export function broughtDocument({ away, objects, bytes, error }: BroughtHome): Json {
  const failure = error === null ? null : { code: error.code, message: error.message };
  return { snapshot: away.snapshot.id, from: away.copies.map(({ name }) => name), objects, bytes, error: failure };
}
