import type pg from 'pg';
import type { AcknowledgedWrite, LoadReport, UnknownWrite } from '../load.ts';
import { checkInvariants, divideWrites, verifyWrites } from '../verify-writes.ts';

/** The acknowledged writes on either side of the position to which the database was taken back. */
export interface Division {
  readonly expected: AcknowledgedWrite[];
  readonly leftOut: AcknowledgedWrite[];
  /** How many were under way at that moment, so that only their commit records in the WAL could tell. */
  readonly decidedByWal: number;
}

/**
 * Sorts writes by the position before which recovery stops. No clock is asked and nothing is guessed: a write is expected
 * when its commit record begins before `position`.
 *
 * For most writes that follows from the positions which the load read just before and just after the commit. For one that
 * was under way at the time, `findCommitLsn` looks its commit record up in the stored WAL, which reaches without a gap
 * beyond `position`; a record that is not there (`null`) therefore comes later.
 */
export async function divideAt(
  position: bigint,
  writes: readonly AcknowledgedWrite[],
  findCommitLsn: (write: AcknowledgedWrite) => Promise<bigint | null>,
): Promise<Division> {
  const { before, after, undecided } = divideWrites(writes, position);
  for (const write of undecided) {
    const commitLsn = await findCommitLsn(write);
    if (commitLsn !== null && commitLsn < position) before.push(write);
    else after.push(write);
  }
  return { expected: before, leftOut: after, decidedByWal: undecided.length };
}

/** What was found in the recovered database. */
export interface Findings extends Division {
  /** Expected, and not there. */
  readonly missing: AcknowledgedWrite[];
  /** Expected, and there with another content. */
  readonly altered: AcknowledgedWrite[];
  /** There although they were committed after the position: then recovery went too far. */
  readonly tooLate: AcknowledgedWrite[];
  /** Sent and never answered; each may be there or not. */
  readonly unanswered: { readonly count: number; readonly there: number };
  /** Rules of the application's data that do not hold, a sentence each. */
  readonly broken: string[];
}

/** Looks for every write by itself. `client` is a connection to the recovered database. */
export async function lookForWrites(
  client: pg.Client,
  division: Division,
  unknown: readonly UnknownWrite[],
): Promise<Findings> {
  const expected = await verifyWrites(client, division.expected);
  const leftOut = await verifyWrites(client, division.leftOut);
  const unanswered = await verifyWrites(client, unknown);
  return {
    ...division,
    missing: expected.missing,
    altered: expected.altered,
    tooLate: [...leftOut.found, ...leftOut.altered],
    unanswered: { count: unknown.length, there: unanswered.found.length },
    broken: await checkInvariants(client),
  };
}

/** True when the recovered database is what was promised: all of the one side, nothing of the other, and sound. */
export function isAsPromised({ missing, altered, tooLate, broken }: Findings): boolean {
  return missing.length + altered.length + tooLate.length + broken.length === 0;
}

/** Seconds of acknowledged writes that were lost: from the oldest one to the disaster, 0 when there is none. */
export function measureRpoSeconds({ missing, altered }: Findings, disasterAtMonotonicMs: number): number {
  const lost = [...missing, ...altered];
  if (lost.length === 0) return 0;
  const oldestMs = lost.reduce((oldest, write) => Math.min(oldest, write.acknowledgedAtMonotonicMs), Infinity);
  // One that was acknowledged while the disaster took its course is lost all the same.
  return Math.max(1, disasterAtMonotonicMs - oldestMs) / 1_000;
}

/** The acknowledged writes of a report that are not in an earlier one. */
export function acknowledgedSince(earlier: LoadReport, report: LoadReport): AcknowledgedWrite[] {
  return report.acknowledged.slice(earlier.acknowledged.length);
}
