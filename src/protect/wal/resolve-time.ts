import { HoldfastError } from '../../lib/index.ts';
import { formatTimestamp, type Timestamp } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { contiguousEnd } from './continuity.ts';
import type { WalInventory } from './inventory.ts';
import type { TransactionLandmark } from './landmark.ts';
import { LandmarkReader, type LandmarkSummary } from './landmarks/index.ts';
import { findLastCommit } from './last-commit.ts';
import { lastRecord } from './last-record.ts';
import { readKnownUntil } from './receiver-status.ts';

/**
 * Behind the position that a time means, commits of before the time are looked for: moments late, ordinarily, and hours when the server's clock
 * was set back. The index tells of all; so much WAL that has none is read.
 */
const SKIPPED_SCANNED_BYTES_MAX = 64n * 1024n * 1024n;

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
      /** False when there may be more of them, in WAL that has no index. */
      readonly isSkippedCounted: boolean;
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
 * time is too early for the base backup is for the caller to say, who knows when that was complete. The commit index tells it in a few reads;
 * WAL is read where that has none.
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
  const stop = await findStop(repository, inventory, question, end);
  const to = stop?.lsn ?? end;
  const lastCommit = await findLastCommit(repository, inventory, { lineage, timeline, from, to });
  if (stop !== null) {
    const late = await findSkipped(repository, inventory, question, { stop, end });
    return { kind: 'before-transaction', lsn: stop.lsn, stop, lastCommit, ...late };
  }
  const lastAt = await findLatestEnd(repository, inventory, question, end);
  const known = await readKnownUntil(repository, { lineage, durableEnd: end });
  const latest = known !== null && (lastAt === null || known > lastAt) ? known : lastAt;
  if (latest === null || time > latest) return { kind: 'too-late', latest, error: tooLate(time, latest) };
  const last = await lastRecord(repository, inventory, { lineage, timeline, from });
  if (last === null) return { kind: 'too-late', latest: null, error: tooLate(time, null) };
  return { kind: 'at-end', lsn: last.lsn, endLsn: last.endLsn, lastCommit, knownUntil: latest };
}

/** The first commit or abort that is later than the time. */
async function findStop(
  repository: Repository,
  inventory: WalInventory,
  { lineage, timeline, from, time }: TimeQuestion,
  end: bigint,
): Promise<TransactionLandmark | null> {
  const reader = new LandmarkReader(repository, inventory, { lineage, timeline });
  const mayHold = ({ ends }: LandmarkSummary) => ends !== null && ends.latest > time;
  for await (const landmark of reader.read({ from, to: end, mayHold })) {
    if (landmark.kind === 'transaction' && landmark.transaction.at > time) return landmark;
  }
  return null;
}

/** The latest time of any commit or abort. */
async function findLatestEnd(
  repository: Repository,
  inventory: WalInventory,
  { lineage, timeline, from }: TimeQuestion,
  end: bigint,
): Promise<Timestamp | null> {
  const reader = new LandmarkReader(repository, inventory, { lineage, timeline });
  let latest: Timestamp | null = null;
  for await (const part of reader.summarize({ from, to: end })) {
    const at =
      'kind' in part ? (part.kind === 'transaction' ? part.transaction.at : null) : (part.ends?.latest ?? null);
    if (at !== null && (latest === null || at > latest)) latest = at;
  }
  return latest;
}

async function findSkipped(
  repository: Repository,
  inventory: WalInventory,
  { lineage, timeline, time }: TimeQuestion,
  { stop, end }: { stop: TransactionLandmark; end: bigint },
): Promise<{ skipped: TransactionLandmark[]; skippedCount: number; isSkippedCounted: boolean }> {
  const reader = new LandmarkReader(repository, inventory, { lineage, timeline });
  const skipped: TransactionLandmark[] = [];
  let skippedCount = 0;
  const decide = ({ committed }: LandmarkSummary) => {
    if (committed === null || committed.earliest > time) return 'pass';
    return committed.latest <= time && skipped.length >= SKIPPED_NAMED_MAX ? 'sum' : 'read';
  };
  const range = { from: stop.lsn, to: end, scannedBytesMax: SKIPPED_SCANNED_BYTES_MAX };
  for await (const part of reader.summarize(range, decide)) {
    if (!('kind' in part)) skippedCount += part.commits;
    else if (part.kind === 'transaction' && part.transaction.outcome === 'commit' && part.transaction.at <= time) {
      skippedCount += 1;
      if (skipped.length < SKIPPED_NAMED_MAX) skipped.push(part);
    }
  }
  return { skipped, skippedCount, isSkippedCounted: !reader.isCut };
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
