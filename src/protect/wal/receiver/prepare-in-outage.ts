import { HoldfastError } from '../../../lib/index.ts';
import { formatLsn } from '../../../postgres/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { readWalInventory } from '../inventory.ts';
import { newestTimeline } from '../timeline-path.ts';
import { serverBehind } from './alarms.ts';
import { storeHistories } from './lineage-keeper.ts';
import { type PrepareOptions, planWithTails } from './prepare-stream.ts';
import type { ResumePlan, StreamPlan } from './resume-plan.ts';

/**
 * As `prepareStream`, from what copies and this machine have, while the primary is away (`docs/copies.md`): goes on in the lineage that was followed
 * from here while the primary answered, from WAL that will be compared, and in nothing else.
 *
 * `followed`: that lineage. `mayLeaveGap`: WAL of a range by itself will do, such as a backup's, when it does not adjoin what is stored: nothing is ever
 * replayed from one into the other, so that nothing has to be compared. Errors: WAL_OUTAGE_UNSAFE, which waiting for the primary mends; WAL_SERVER_BEHIND, and those of what it calls.
 */
export async function prepareInOutage(
  options: PrepareOptions,
  { followed, mayLeaveGap = false }: { followed: string | null; mayLeaveGap?: boolean },
): Promise<{ lineage: LineageInventory; plan: StreamPlan }> {
  const { repository, persistence, link } = options;
  const inventory = await persistence.run(() => readWalInventory(repository, link.identity.systemId));
  options.onInventory(inventory);
  const candidate = findFollowed(options, inventory.lineages, followed);
  const planned = await planWithTails(options, inventory, candidate);
  const plan = mayLeaveGap && isApart(planned, candidate) ? planned : requireProof(planned);
  const newest = newestTimeline(candidate);
  if (link.identity.timeline !== newest) {
    throw outageUnsafe(
      `Expected a server on timeline ${newest}, found it on ${link.identity.timeline}: whether another receiver goes on with the timeline that it left, the primary alone knows.`,
    );
  }
  // Invariant 2: no WAL of a timeline before its history.
  const lineage = await persistence.run(() => storeHistories(repository, candidate, link));
  return { lineage, plan };
}

/**
 * The copies may lack what reached the primary last, above all a lineage that began there: only what was followed from here is known to have been the
 * server's.
 */
function findFollowed(
  { cluster, link }: PrepareOptions,
  lineages: readonly LineageInventory[],
  followed: string | null,
): LineageInventory {
  if (followed === null) {
    throw outageUnsafe(
      'Expected a note of the lineage that was followed from this machine while the primary answered, found none: the primary may have a newer one than the copies.',
    );
  }
  const found = lineages.find(({ lineage, header }) => lineage === followed && header.cluster === cluster);
  if (found === undefined) {
    throw outageUnsafe(
      `Expected the first object of lineage "${followed}" in a copy, found it in none of those that answer.`,
    );
  }
  if (found.header.segmentBytes === link.segmentBytes) return found;
  throw outageUnsafe(
    `Expected segments of ${found.header.segmentBytes} bytes, as the lineage has, found ${link.segmentBytes}.`,
  );
}

/** Whether the stream begins behind a hole after all that is stored of its timeline. */
function isApart(plan: ResumePlan, lineage: LineageInventory): plan is StreamPlan {
  if (plan.kind !== 'stream') return false;
  const ranges = lineage.timelines.get(plan.timeline)?.ranges ?? [];
  return ranges.every(({ end }) => end < plan.start);
}

/** Rule A4: nothing is stored in a lineage before WAL of the server was equal to what it has. */
function requireProof(plan: ResumePlan): StreamPlan {
  if (plan.kind === 'server-behind') throw serverBehind(plan.timeline, plan.until);
  if (plan.kind === 'diverged') {
    throw outageUnsafe(
      'Expected the history that copies and this machine have, found that the server left it: a new lineage is begun in the primary alone.',
    );
  }
  if (plan.storedUntil > plan.start) return plan;
  throw outageUnsafe(
    `Expected WAL from ${formatLsn(plan.start)} on in a copy or on this machine, to compare the server's with it, found none: the primary may have more.`,
  );
}

/** `detail` says what is missing to go on without the primary. */
export function outageUnsafe(detail: string): HoldfastError {
  return new HoldfastError('WAL_OUTAGE_UNSAFE', 'could not go on with WAL while the primary is away', {
    detail,
    hints: [
      'Mend the way to the primary; until then the server keeps its WAL, and it is tried again.',
      'If the primary is lost, make a copy the primary in the plan: docs/guides/copies.md says how.',
    ],
    retryable: true,
  });
}

/** The server's WAL was held against what copies and this machine have, and left it. */
export function leftInOutage(event: 'diverged' | 'timeline-ended'): HoldfastError {
  return outageUnsafe(
    event === 'diverged'
      ? 'Expected the WAL that copies and this machine have, found other bytes: where another lineage goes on, the primary alone knows.'
      : 'Expected the server to stay on its timeline, found that it left it: whether another receiver goes on with that, the primary alone knows.',
  );
}

/** The server has no WAL from where the copies' ends. From where the primary's does it may well have it, so that this is no gap. */
export function goneInOutage(start: bigint): HoldfastError {
  return outageUnsafe(
    `Expected WAL from ${formatLsn(start)} on, where what copies and this machine have ends, found that the server keeps it no more: the primary may have it.`,
  );
}
