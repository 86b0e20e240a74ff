import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { HoldfastError, messageOf } from '../../../lib/index.ts';
import {
  describeHistory,
  foreignFile,
  type HistoryFile,
  openSegmentFile,
  type SegmentFile,
  unreadable,
} from '../files/index.ts';

/** A file that PostgreSQL hands over to be archived. */
export type ArchivedFile = { readonly name: string; readonly size: number; sha256(): Promise<string> } & (
  | { readonly kind: 'segment' | 'part'; readonly segment: SegmentFile }
  | { readonly kind: 'history'; readonly history: HistoryFile }
  | { readonly kind: 'backup-history' }
);

const SEGMENT = /^[0-9A-F]{24}$/;
const PARTIAL = /^([0-9A-F]{24})\.partial$/;
const HISTORY = /^([0-9A-F]{8})\.history$/;
const BACKUP_HISTORY = /^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/;

/** How a backup history file begins. Source: PostgreSQL, xlogbackup.c, build_backup_content. */
const BACKUP_HISTORY_START = 'START WAL LOCATION: ';

/** The file of a cluster that was promoted a thousand times has 64 kB. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Opens a file by its path and takes it for what its name says, or refuses it.
 * Errors: WAL_FILE_UNREADABLE, WAL_FILE_FOREIGN, PG_WAL_NAME_INVALID, PG_TIMELINE_HISTORY_INVALID.
 */
export async function openArchivedFile(path: string, name: string = basename(path)): Promise<ArchivedFile> {
  const partial = PARTIAL.exec(name)?.[1];
  if (SEGMENT.test(name)) return ofSegment('segment', name, await openSegmentFile(path, name));
  if (partial !== undefined) return ofSegment('part', name, await openSegmentFile(path, partial));
  if (HISTORY.test(name)) return ofHistory(name, await readText(path, name));
  if (BACKUP_HISTORY.test(name)) return ofBackupHistory(name, await readText(path, name));
  throw new HoldfastError('PG_WAL_NAME_INVALID', `invalid WAL file name "${name}"`, {
    detail:
      'Expected a segment (24 upper-case hexadecimal digits), perhaps with .partial, a .history or a .backup file.',
  });
}

export function ofSegment(kind: 'segment' | 'part', name: string, segment: SegmentFile): ArchivedFile {
  return { kind, name, size: segment.segmentBytes, segment, sha256: () => segment.sha256() };
}

/** Errors: WAL_FILE_FOREIGN, PG_TIMELINE_HISTORY_INVALID. */
export function ofHistory(name: string, content: Buffer): ArchivedFile {
  const timeline = Number.parseInt(HISTORY.exec(name)?.[1] ?? '0', 16);
  const history = describeHistory(timeline, content.toString('utf8'));
  if (timeline < 2 || history.switches.length === 0) {
    throw foreignFile(name, 'Expected the history of a timeline from 2 on, with a line for each timeline before it.');
  }
  if (history.switches.some((each) => each.timeline >= timeline)) {
    throw foreignFile(name, 'Expected only timelines before its own in it.');
  }
  return { kind: 'history', name, size: content.length, history, sha256: async () => hashBytes(content) };
}

function ofBackupHistory(name: string, content: Buffer): ArchivedFile {
  if (!content.toString('utf8').startsWith(BACKUP_HISTORY_START)) {
    throw foreignFile(name, `Expected "${BACKUP_HISTORY_START.trim()}" at its beginning.`);
  }
  return { kind: 'backup-history', name, size: content.length, sha256: async () => hashBytes(content) };
}

async function readText(path: string, name: string): Promise<Buffer> {
  try {
    const content = await readFile(path);
    if (content.length <= TEXT_BYTES_MAX) return content;
  } catch (error) {
    throw unreadable(path, `The system said: ${messageOf(error)}.`, error);
  }
  throw foreignFile(name, `Expected a text of at most ${TEXT_BYTES_MAX} bytes.`);
}

function hashBytes(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
