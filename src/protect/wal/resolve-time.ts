import { HoldfastError } from '../../lib/index.ts';
import { formatTimestamp, type Timestamp } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { contiguousEnd } from './continuity.ts';
import type { WalInventory } from './inventory.ts';
import { lastRecord } from './last-record.ts';
import { readKnownUntil } from './receiver-status.ts';
import { scanWal, type TransactionLandmark } from './scan.ts';

/** Behind the position that a time means, commits of before the time are looked for this far: they are late by moments, not by hours. */
const SKIPPED_LOOK_AHEAD_BYTES = 64n * 1024n * 1024n;

/** So many of them are named; more only counted. */
const SKIPPED_NAMED_MAX = 100;

/** What a time means on a history (rule D1). */
export type TimeResolution =
  | {
      /** Recovery stops before the first commit or abort that is later than the time. */
      readonly kind: 'before-transaction';
      /** Where that record begins: the position to recover to, exclusive. */
      readonly lsn: bigint;
      readonly stop: TransactionLandmark;
      /** The last commit that is included; `null` when there is none behind the start. */
      readonly lastCommit: TransactionLandmark | null;
      /** Commits of before the time that stand behind the position, as commit times are not in order: they will not be there. */
      readonly skipped: readonly TransactionLandmark[];
      readonly skippedCount: number;
    }
  | {
      /** Nothing happened between the last record and the time: all that is stored is replayed. */
      readonly kind: 'at-end';
      /** Where the last whole record begins: the position to recover to, inclusive. */
      readonly lsn: bigint;
      readonly endLsn: bigint;
      readonly lastCommit: TransactionLandmark | null;
      /** Up to when it is known that nothing is missing. */
      readonly knownUntil: Timestamp;
    }
  | {
      /** The time is later than what is known. */
      readonly kind: 'too-late';
      /** The last moment that can be restored; `null` when no transaction ended and no receiver ever caught up. */
      readonly latest: Timestamp | null;
      readonly error: HoldfastError;
    };

/** Where to look. */
export interface TimeQuestion {
  readonly lineage: string;
  readonly timeline: number;
  /** Where the base backup is consistent: earlier positions cannot be recovered to. */
  readonly from: bigint;
  readonly time: Timestamp;
}

/**
 * Finds the position that a time means: before the first commit or abort record later than it, as PostgreSQL's own recovery does. Whether the
 * time is too early for the base backup is for the caller to say, who knows when that was complete.
 *
 * Errors: WAL_RECORD_UNREADABLE and OBJECT_DAMAGED when the WAL before the position cannot be read; those of the store.
 */
export async function resolveTime(
  repository: Repository,
  inventory: WalInventory,
  question: TimeQuestion,
): Promise<TimeResolution> {
  const { lineage, timeline, from, time } = question;
  const end = contiguousEnd(inventory, lineage, timeline, from);
  let lastCommit: TransactionLandmark | null = null;
  let lastAt: Timestamp | null = null;
  for await (const landmark of scanWal(repository, inventory, { lineage, timeline, from, to: end })) {
    if (landmark.kind !== 'transaction') continue;
    const { at, outcome } = landmark.transaction;
    if (at > time) {
      const late = await findSkipped(repository, inventory, question, landmark, end);
      return { kind: 'before-transaction', lsn: landmark.lsn, stop: landmark, lastCommit, ...late };
    }
    if (outcome === 'commit') lastCommit = landmark;
    if (lastAt === null || at > lastAt) lastAt = at;
  }
  const known = await readKnownUntil(repository, { lineage, durableEnd: end });
  const latest = known !== null && (lastAt === null || known > lastAt) ? known : lastAt;
  if (latest === null || time > latest) return { kind: 'too-late', latest, error: tooLate(time, latest) };
  const last = await lastRecord(repository, inventory, { lineage, timeline, from });
  if (last === null) return { kind: 'too-late', latest: null, error: tooLate(time, null) };
  return { kind: 'at-end', lsn: last.lsn, endLsn: last.endLsn, lastCommit, knownUntil: latest };
}

async function findSkipped(
  repository: Repository,
  inventory: WalInventory,
  { lineage, timeline, time }: TimeQuestion,
  stop: TransactionLandmark,
  end: bigint,
): Promise<{ skipped: TransactionLandmark[]; skippedCount: number }> {
  const reach = stop.lsn + SKIPPED_LOOK_AHEAD_BYTES;
  const skipped: TransactionLandmark[] = [];
  let skippedCount = 0;
  const to = reach < end ? reach : end;
  for await (const landmark of scanWal(repository, inventory, { lineage, timeline, from: stop.lsn, to })) {
    if (landmark.kind !== 'transaction' || landmark.transaction.outcome !== 'commit') continue;
    if (landmark.transaction.at > time) continue;
    skippedCount += 1;
    if (skipped.length < SKIPPED_NAMED_MAX) skipped.push(landmark);
  }
  return { skipped, skippedCount };
}

function tooLate(time: Timestamp, latest: Timestamp | null): HoldfastError {
  return new HoldfastError(
    'WAL_TIME_UNREACHABLE',
    `cannot reach ${formatTimestamp(time)}: no WAL of that time is stored`,
    {
      detail:
        latest === null
          ? 'The stored WAL holds no commit, and no receiver has caught up with the server since.'
          : `What is stored is known to be complete up to ${formatTimestamp(latest)}.`,
      hints: ['Restore to an earlier time, or to the latest position that is stored.'],
    },
  );
}
