import { formatLsn, parseBackupLabel, parseLsn } from '../../../postgres/index.ts';
import type { Repository, SnapshotRecord } from '../../../repository/index.ts';
import { crossCheckIncrement, type Findings } from '../cross-check/index.ts';
import type { SentFiles } from '../increment/index.ts';
import { readingOf } from '../reading-done.ts';
import type { SecuredWal } from './secured-wal.ts';
import { whyWalIsBroken } from './wal-since-base.ts';

/** An increment that came whole, before anything is made of it that lasts. */
export interface IncrementFacts {
  readonly repository: Repository;
  /** The snapshot on which it stands. */
  readonly base: SnapshotRecord;
  /** Of the server that sent it; of the WAL from the base's start on. */
  readonly system: string;
  readonly lineage: string;
  readonly timeline: number;
  /** Where the new backup begins: each block that changed in [base's start, this) must have been sent. */
  readonly startLsn: bigint;
  /** Where it ends: WAL up to there is brought into the repository by `wal`. */
  readonly endLsn: bigint;
  readonly wal: SecuredWal;
  /** How many blocks the base has of a file of our tree. */
  readonly baseBlocks: (path: string) => number;
  /** As the server wrote it. */
  readonly backupLabel: string;
  readonly sent: SentFiles;
}

/**
 * Nothing speaks against an increment: it was held against the WAL, in which `blocks` were looked for, or `notChecked` is why that could not be done. Or
 * it must not be made into a snapshot: `why`, as a sentence without its full stop, and what was found; `sparesBase` when that says nothing against the base.
 */
export type IncrementVerdict =
  | { readonly why: null; readonly crossCheck: { readonly blocks: number | null; readonly why: string | null } }
  | { readonly why: string; readonly findings: Findings | null; readonly sparesBase?: boolean };

/**
 * Judges an increment: does it stand on its base (rule A10), is the base of the history that the server wrote on (rule A4), and has it all that the
 * WAL changes (rule A9)?
 *
 * Errors: PG_BACKUP_LABEL_INVALID; those of `SecuredWal.secured` and of the store.
 */
export async function checkIncrement(facts: IncrementFacts): Promise<IncrementVerdict> {
  const why = whyNotOnBase(facts);
  if (why !== null) return { why, findings: null };
  const { repository, base, wal, timeline, startLsn, endLsn, sent, baseBlocks } = facts;
  // The WAL of the backup's own range has to come before it can be listed anyway.
  const inventory = await wal.secured({ timeline, start: startLsn, end: endLsn });
  const whyBroken = whyWalIsBroken(inventory, base, startLsn);
  if (whyBroken !== null) return { why: whyBroken, findings: null };
  const options = { repository, inventory, base, startLsn, endLsn, baseBlocks, sent: sent.list() };
  const check = await crossCheckIncrement(options);
  if (check.kind === 'agrees') return { why: null, crossCheck: { blocks: check.blocks, why: null } };
  if (check.kind === 'not-known') return { why: null, crossCheck: { blocks: null, why: check.reason } };
  const { count } = check.findings;
  return {
    why: `the server left out ${count === 1 ? 'a block' : `${count} blocks`} of which the WAL says otherwise`,
    findings: check.findings,
    sparesBase: check.isExplained === true && isChecked(base),
  };
}

/** Everything was read for it, or the WAL agreed with what was sent. */
function isChecked(snapshot: SnapshotRecord): boolean {
  const reading = readingOf(snapshot);
  if (reading === null) return false;
  return reading.manner === 'everything' || (reading.crossCheck?.blocks ?? null) !== null;
}

/** The label names what the increment stands on, by which the summaries reach exactly from one start to the other. */
function whyNotOnBase({ base, system, timeline, startLsn, backupLabel }: IncrementFacts): string | null {
  const label = parseBackupLabel(backupLabel);
  const from = label.incrementalFrom;
  const baseStart = parseLsn(base.wal.start);
  if (base.wal.system !== system) return `the base is of system ${base.wal.system}, and the server is ${system}`;
  if (from === null || from.lsn !== baseStart || from.timeline !== base.wal.timeline) {
    const found = from === null ? 'nothing' : `${formatLsn(from.lsn)} on timeline ${from.timeline}`;
    return `the server sent changes since ${found} instead of ${base.wal.start} on timeline ${base.wal.timeline}`;
  }
  if (label.startLsn !== startLsn || label.startTimeline !== timeline) {
    return `the server sent a label that begins at ${formatLsn(label.startLsn)} instead of ${formatLsn(startLsn)}`;
  }
  return timeline === base.wal.timeline
    ? null
    : `the server went from timeline ${base.wal.timeline} to ${timeline} meanwhile`;
}
