import { HoldfastError } from '../lib/index.ts';
import { parseLsn } from './lsn.ts';

/** What `backup_label` tells recovery: from where to replay. */
export interface BackupLabel {
  /** Where replay begins: the redo position of the backup's checkpoint. */
  readonly startLsn: bigint;
  /** The segment that holds `startLsn`, by its name. */
  readonly startSegment: string;
  readonly checkpointLsn: bigint;
  readonly startTimeline: number;
  readonly backupMethod: string;
  readonly backupFrom: string;
  /** As the server wrote it, in its own time zone. */
  readonly startTime: string;
  readonly label: string;
  /** Only in an incremental backup: the start of the backup that it stands on. */
  readonly incrementalFrom: { readonly lsn: bigint; readonly timeline: number } | null;
}

/**
 * Reads the file `backup_label` of a base backup.
 *
 * Shape:  lines of 'NAME: value'; the first names an LSN and, in brackets, a segment.
 * Errors: PG_BACKUP_LABEL_INVALID.
 * Source: PostgreSQL, xlogbackup.c, build_backup_content; xlogrecovery.c, read_backup_label.
 */
export function parseBackupLabel(text: string): BackupLabel {
  const lines = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) lines.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const start = /^([0-9A-Fa-f/]+) \(file ([0-9A-F]{24})\)$/.exec(required(lines, 'START WAL LOCATION'));
  if (start === null) throw invalid('Expected an LSN and a segment as "START WAL LOCATION".');
  const incrementalLsn = lines.get('INCREMENTAL FROM LSN');
  return {
    startLsn: parseLsn(start[1] as string),
    startSegment: start[2] as string,
    checkpointLsn: parseLsn(required(lines, 'CHECKPOINT LOCATION')),
    startTimeline: timeline(required(lines, 'START TIMELINE')),
    backupMethod: required(lines, 'BACKUP METHOD'),
    backupFrom: required(lines, 'BACKUP FROM'),
    startTime: required(lines, 'START TIME'),
    label: lines.get('LABEL') ?? '',
    incrementalFrom:
      incrementalLsn === undefined
        ? null
        : { lsn: parseLsn(incrementalLsn), timeline: timeline(required(lines, 'INCREMENTAL FROM TLI')) },
  };
}

/** The label as a whole backup has it: without what it says of the backup that an increment stands on, as pg_combinebackup writes it. */
export function withoutIncrementalFrom(text: string): string {
  return text.replaceAll(/^INCREMENTAL FROM (LSN|TLI): .*\n/gm, '');
}

function required(lines: ReadonlyMap<string, string>, name: string): string {
  const value = lines.get(name);
  if (value === undefined) throw invalid(`Expected a line "${name}", found none.`);
  return value;
}

function timeline(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,10}$/.test(text) || value < 1 || value > 0xffffffff)
    throw invalid(`Expected a timeline, found "${text}".`);
  return value;
}

function invalid(detail: string): HoldfastError {
  return new HoldfastError('PG_BACKUP_LABEL_INVALID', 'invalid backup_label', { detail });
}
