import { HoldfastError } from '../../lib/index.ts';
import { parseLsn } from '../lsn.ts';

/** What a server's log tells of its recovery so far. */
export interface RecoveryReport {
  /** Where replay began; null before it has. */
  readonly redoStartLsn: bigint | null;
  /** Where the data became consistent. */
  readonly consistentLsn: bigint | null;
  /** How far replay has come by the server's last word (from version 15 on; once a second). */
  readonly progressLsn: bigint | null;
  /** Where the record begins at which replay ended, be it the last one replayed or the first one left out; null before. */
  readonly lastRecordLsn: bigint | null;
  /** Why replay stopped, in the server's words, for example 'recovery stopping before WAL location (LSN) "0/5000028"'. */
  readonly stopping: string | null;
  /** When the last transaction committed that was replayed, as the server prints it. */
  readonly lastTransactionAt: string | null;
  /** The timeline on which the server goes on. */
  readonly newTimeline: number | null;
  /** WAL files that were taken from the archive, the last few. */
  readonly restoredFiles: readonly string[];
  /** The first FATAL or PANIC of the server itself, in its words. */
  readonly fatal: string | null;
}

const RESTORED_FILES_MAX = 20;

/** Refusals of connections while recovery goes on; they are no trouble of the server. */
const REFUSALS =
  /the database system is (starting up|not yet accepting|not accepting|in recovery mode|shutting down)|^role ".*" does not exist|^database ".*" does not exist/;

/**
 * Reads the log of an instance, whose messages are in English by its configuration.
 * Source: PostgreSQL, xlog.c and xlogrecovery.c, the messages of StartupXLOG and PerformWalRecovery.
 */
export function parseRecoveryLog(log: string): RecoveryReport {
  const report = {
    redoStartLsn: null as bigint | null,
    consistentLsn: null as bigint | null,
    progressLsn: null as bigint | null,
    lastRecordLsn: null as bigint | null,
    stopping: null as string | null,
    lastTransactionAt: null as string | null,
    newTimeline: null as number | null,
    restoredFiles: [] as string[],
    fatal: null as string | null,
  };
  for (const line of log.split('\n')) {
    const message = /^[^[]*\[[0-9]+\] +(LOG|FATAL|PANIC): +(.*)$/.exec(line);
    if (message === null) continue;
    const [, level, text] = message as unknown as [string, string, string];
    if (level !== 'LOG') {
      if (report.fatal === null && !REFUSALS.test(text)) report.fatal = text;
      continue;
    }
    report.redoStartLsn = lsnAfter(text, /^redo starts at (\S+)/) ?? report.redoStartLsn;
    report.consistentLsn = lsnAfter(text, /^consistent recovery state reached at (\S+)/) ?? report.consistentLsn;
    report.progressLsn = lsnAfter(text, /^redo in progress, .* current LSN: (\S+)/) ?? report.progressLsn;
    report.lastRecordLsn = lsnAfter(text, /^redo done at (\S+)/) ?? report.lastRecordLsn;
    if (/^recovery stopping (before|after)/.test(text)) report.stopping = text;
    const timeline = /^selected new timeline ID: ([0-9]+)/.exec(text)?.[1];
    if (timeline !== undefined) report.newTimeline = Number(timeline);
    report.lastTransactionAt =
      /^last completed transaction was at log time (.*)$/.exec(text)?.[1] ?? report.lastTransactionAt;
    const restored = /^restored log file "([^"]+)" from archive/.exec(text)?.[1];
    if (restored !== undefined) report.restoredFiles.push(restored);
  }
  return { ...report, restoredFiles: report.restoredFiles.slice(-RESTORED_FILES_MAX) };
}

/**
 * The error for a server that has ended, told by what it wrote last.
 * Codes: PG_RECOVERY_TARGET_NOT_REACHED, PG_RECOVERY_TARGET_TOO_EARLY, PG_INSTANCE_EXITED.
 */
export function instanceExitError(log: string, how: string): HoldfastError {
  const { fatal } = parseRecoveryLog(log);
  const detail = `The server ended with ${how}. Its last words: ${lastWords(log)}`;
  if (fatal?.includes('recovery ended before configured recovery target was reached')) {
    return new HoldfastError('PG_RECOVERY_TARGET_NOT_REACHED', 'recovery ended before its target was reached', {
      detail,
      hints: ['WAL up to the target is not there: choose an earlier target, or the latest.'],
    });
  }
  if (fatal?.includes('requested recovery stop point is before consistent recovery point')) {
    return new HoldfastError('PG_RECOVERY_TARGET_TOO_EARLY', 'recovery target lies before the end of the backup', {
      detail,
      hints: ['Choose a later target, or an earlier backup.'],
    });
  }
  return new HoldfastError('PG_INSTANCE_EXITED', `server ended: ${fatal ?? how}`, { detail });
}

/** So many lines of the log stand in an error. */
const LAST_LINES = 12;

/**
 * The end of the log without the server's hints: they speak to whoever restores by hand, and one of them is to remove
 * backup_label, which here would only turn a failed restore into a corrupt one.
 */
function lastWords(log: string): string {
  let isHint = false;
  const lines = log.split('\n').filter((line) => {
    const level = /^[^[]*\[[0-9]+\] +([A-Z]+): /.exec(line)?.[1];
    // What a hint says in further lines has no prefix of its own; nor has what a restore_command says.
    isHint = level === undefined ? isHint : level === 'HINT';
    return !isHint && line.trim() !== '';
  });
  return lines
    .slice(-LAST_LINES)
    .map((line) => line.trim())
    .join(' | ');
}

function lsnAfter(text: string, pattern: RegExp): bigint | null {
  const found = pattern.exec(text)?.[1];
  return found !== undefined && /^[0-9A-Fa-f]+\/[0-9A-Fa-f]+$/.test(found) ? parseLsn(found) : null;
}
