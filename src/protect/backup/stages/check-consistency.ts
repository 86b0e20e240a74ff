import { codeOf, HoldfastError, messageOf } from '../../../lib/index.ts';
import { type ControlFile, formatLsn, parseBackupLabel, parseControlFile } from '../../../postgres/index.ts';
import type { CheckedServer } from './check-server.ts';
import type { ReceivedFiles } from './receive-files.ts';

/**
 * Makes sure that the files that arrived can be replayed to the end of the backup, before the backup is listed.
 *
 * PostgreSQL rewrites `pg_control` in place while the backup reads it, and a torn copy starts nowhere. A backup of a standby is whole once WAL up
 * to the position in its `pg_control` (minRecoveryPoint) is replayed, as no data file holds a page from behind it; the stop position that the
 * server returns lies there or later, and is what the snapshot names as its end.
 *
 * Errors: BACKUP_CONTROL_FILE_INVALID, BACKUP_TIMELINE_CHANGED, BACKUP_STANDBY_INCONSISTENT; PG_BACKUP_LABEL_INVALID.
 */
export function checkConsistency(received: ReceivedFiles, server: CheckedServer): void {
  const { start, endTimeline, endLsn } = received;
  if (endTimeline !== start.timeline) throw timelineChanged(start.timeline, endTimeline);
  const control = readReceivedControlFile(received, server);
  const label = parseBackupLabel(received.backupLabel);
  const saysStandby = label.backupFrom === 'standby';
  if (saysStandby !== server.isStandby) {
    throw inconsistent(
      `The backup label says "BACKUP FROM: ${label.backupFrom}", and the server was ${server.isStandby ? 'a standby' : 'none'}.`,
    );
  }
  if (control === null || !server.isStandby) return;
  if (control.state !== 'in-archive-recovery' && control.state !== 'shut-down-in-recovery') {
    throw inconsistent(`Expected pg_control to be of a server in recovery, found the state "${control.state}".`);
  }
  if (control.minRecoveryLsn > endLsn) {
    throw inconsistent(
      `Expected the files to be consistent at ${formatLsn(endLsn)}, found that pg_control asks for WAL up to ${formatLsn(control.minRecoveryLsn)}.`,
    );
  }
}

/** Null where a primary's has a layout that this version does not read: the server needs it, and we do not. */
function readReceivedControlFile(received: ReceivedFiles, server: CheckedServer): ControlFile | null {
  try {
    return parseControlFile(received.controlFile);
  } catch (error) {
    if (codeOf(error) === 'PG_CONTROL_FILE_UNSUPPORTED' && !server.isStandby) return null;
    throw new HoldfastError('BACKUP_CONTROL_FILE_INVALID', 'could not take a sound copy of "global/pg_control"', {
      detail: `Expected the file as the server writes it, found: ${messageOf(error)}. The server may have rewritten it at the same moment.`,
      hints: ['Take the backup again.'],
      retryable: true,
      cause: error,
    });
  }
}

/** The error for a backup that would have to be replayed over a switch of timelines. */
export function timelineChanged(start: number, now: number): HoldfastError {
  return new HoldfastError('BACKUP_TIMELINE_CHANGED', 'could not back up the standby: it went to another timeline', {
    detail: `Expected one timeline from the start to the end of the backup, found that it begins on timeline ${start} and that the standby is on timeline ${now}.`,
    hints: [
      'Run CHECKPOINT on the new primary, wait until the standby has replayed it, and take the backup again.',
      'Or point DATABASE_URL at the primary.',
    ],
    retryable: true,
  });
}

function inconsistent(detail: string): HoldfastError {
  return new HoldfastError('BACKUP_STANDBY_INCONSISTENT', 'cannot list the backup: it does not fit a standby', {
    detail,
    hints: ['Take the backup again, or point DATABASE_URL at the primary.'],
  });
}
