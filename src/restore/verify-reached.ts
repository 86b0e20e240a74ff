import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../lib/index.ts';
import { formatHistoryName, formatLsn, parseLsn, parseTimelineHistory, readControlFile } from '../postgres/index.ts';
import { readMarker } from './restore-marker.ts';

/** Where a recovery was meant to end. */
export interface IntendedEnd {
  readonly reachedLsn: bigint;
  readonly timeline: number;
}

/** Where it did: the timeline that was begun then, and the position at which the old one was left. Nulls when none was begun. */
export interface RecoveredEnd {
  readonly newTimeline: number | null;
  readonly endLsn: bigint | null;
}

/** Why a recovery is not the one that was proposed, as a sentence; null when it is. */
export function whyNotReached(intended: IntendedEnd, recovered: RecoveredEnd): string | null {
  const { newTimeline, endLsn } = recovered;
  const expected = `Expected recovery of timeline ${intended.timeline} to end at ${formatLsn(intended.reachedLsn)}`;
  if (newTimeline === null || endLsn === null) return `${expected}, found that no new timeline was begun.`;
  if (newTimeline <= intended.timeline) return `${expected} with a later timeline, found timeline ${newTimeline}.`;
  if (endLsn === intended.reachedLsn) return null;
  return `${expected}, found its end at ${formatLsn(endLsn)}.`;
}

/** The error for a recovery that ended anywhere but where it was proposed. `code` tells early from late. */
export function reachedOtherPosition(place: string, intended: IntendedEnd, recovered: RecoveredEnd): HoldfastError {
  const isLate = recovered.endLsn !== null && recovered.endLsn > intended.reachedLsn;
  return new HoldfastError(
    isLate ? 'RESTORE_WENT_TOO_FAR' : 'RESTORE_STOPPED_EARLY',
    `restore into "${place}" failed: recovery ended elsewhere than proposed`,
    {
      detail: whyNotReached(intended, recovered) ?? '',
      hints: ['Do not use this directory. Run the restore again into another one, and report this if it comes again.'],
    },
  );
}

/**
 * Checks of a restored directory whose server has recovered, by whomever it was started, that it came to where the restore was to lead. Reads
 * only files; the server may run.
 *
 * Errors: RESTORE_MARKER_ABSENT, RESTORE_NOT_RECOVERED, RESTORE_STOPPED_EARLY, RESTORE_WENT_TOO_FAR; those of `readMarker` and `readControlFile`.
 */
export async function verifyReached(directory: string): Promise<RecoveredEnd> {
  const marker = await readMarker(directory);
  if (marker === null) {
    throw new HoldfastError('RESTORE_MARKER_ABSENT', `cannot check "${directory}": it is no restored directory`, {
      detail: 'Expected the record of a restore in it, found none.',
    });
  }
  const intended = { reachedLsn: parseLsn(marker.target.reachedLsn), timeline: marker.target.timeline };
  const recovered = await readRecoveredEnd(directory, intended.timeline);
  if (recovered.newTimeline === null) {
    throw new HoldfastError('RESTORE_NOT_RECOVERED', `cannot check "${directory}": its server has not recovered yet`, {
      detail: `Expected a timeline after ${intended.timeline}, found ${intended.timeline}.`,
      hints: ['Start the server and wait for the end of recovery.'],
      retryable: true,
    });
  }
  if (whyNotReached(intended, recovered) !== null) throw reachedOtherPosition(directory, intended, recovered);
  return recovered;
}

async function readRecoveredEnd(directory: string, timeline: number): Promise<RecoveredEnd> {
  const control = await readControlFile(directory);
  if (control.timeline <= timeline) return { newTimeline: null, endLsn: null };
  const history = await readFile(join(directory, 'pg_wal', formatHistoryName(control.timeline)), 'utf8');
  // A later promotion adds lines; the one of our timeline tells where it was left.
  const left = parseTimelineHistory(history).find((entry) => entry.timeline === timeline);
  return { newTimeline: control.timeline, endLsn: left?.switchLsn ?? null };
}
