import { type Clock, HoldfastError } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { judgeOfSpool, outageUnsafe, primaryBack, type ReceiverOutage, spoolDiffers } from '../receiver/index.ts';

/** While the primary answers, so long is waited for what waits here to be handed over: PostgreSQL waits meanwhile, and the next call goes on. */
const DRAIN_MS_MAX = 30_000;

/** Required copies have so long to take a file. */
const COPIES_MS_MAX = 10_000;
const LOOK_MS = 100;

/** Where a file goes now. */
export interface PushView {
  readonly repository: Repository;
  /** It is what copies and this machine have: the primary may have more. */
  readonly isStandIn: boolean;
  /** How often the primary had come back by then. */
  readonly returns: number;
}

/**
 * Finds out by what a file is judged: while the primary is away, by what copies and this machine have. Errors: those of a primary that answers and
 * is no outage.
 */
export async function viewForPush(repository: Repository, outage: ReceiverOutage | null): Promise<PushView> {
  if (outage === null) return { repository, isStandIn: false, returns: 0 };
  const { spool, standIn = null } = outage;
  spool.judgeBy(judgeOfSpool(repository));
  const { returns } = spool;
  if (await spool.ready()) return { repository, isStandIn: false, returns: spool.returns };
  if (standIn === null) return { repository, isStandIn: false, returns };
  return { repository: repository.inPlace(standIn), isStandIn: true, returns };
}

/** The only lineage that takes a file while the primary is away. Errors: WAL_OUTAGE_UNSAFE when none is noted. */
export function requireFollowed(followed: string | null): string {
  if (followed !== null) return followed;
  throw outageUnsafe(
    'Expected a note of the lineage that files from this machine went into while the primary answered, found none: the primary may have a newer one than the copies.',
  );
}

/**
 * Settled when a file is as safe as the plan wants it: on this machine will do with `protect: writes`, the primary or a required copy has to hold it with
 * `protect: wal`. What waits here from before is handed over as well, if the primary answers.
 *
 * `returns`: how often the primary had come back when it was found out by what the file is judged.
 * Errors: WAL_PRIMARY_AWAY, WAL_SPOOL_DIFFERS, and those of `requireSameView`: PostgreSQL keeps the file and asks again.
 */
export async function awaitSafety(
  { spool, protect }: ReceiverOutage,
  { objects, returns }: { objects: readonly string[]; returns: number },
  clock: Clock,
): Promise<void> {
  await spool.drain(DRAIN_MS_MAX);
  if (protect === 'writes') return;
  const until = clock.monotonic() + COPIES_MS_MAX;
  while (spool.returns === returns && spool.isAnyOnlyHere(objects)) {
    requireNotContradicted(spool, objects);
    if (clock.monotonic() > until) throw heldBack();
    await clock.sleep(LOOK_MS);
  }
  requireSameView(spool, returns);
}

/**
 * Refuses what was judged before the primary came back: it may have contradicted that, and the next call holds the file against it.
 * Errors: WAL_PRIMARY_BACK.
 */
export function requireSameView(spool: ReceiverOutage['spool'], returns: number): void {
  if (spool.returns !== returns) throw primaryBack();
}

/** Refuses what the primary has otherwise: it never gets there from here. Errors: WAL_SPOOL_DIFFERS. */
export function requireNotContradicted(spool: ReceiverOutage['spool'], objects: readonly string[]): void {
  const contradicted = spool.findContradicted(objects);
  if (contradicted !== null) throw spoolDiffers(contradicted);
}

/** A file that lies on this machine alone although the plan wants WAL away before it is confirmed. */
export function heldBack(): HoldfastError {
  return new HoldfastError('WAL_PRIMARY_AWAY', 'could not keep the file away from this machine yet', {
    detail: 'It waits on this machine for the primary, and no required copy has it; the plan has `protect: wal`.',
    hints: ['Mend the way to the primary; PostgreSQL keeps the file and offers it again.'],
    retryable: true,
  });
}
