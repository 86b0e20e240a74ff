import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { formatHistoryName, formatSegmentName, readControlFile } from '../../../postgres/index.ts';
import { openSegmentFile, type SegmentFile } from '../files/index.ts';

const SEGMENT_NAME = /^[0-9A-F]{24}$/;

/** So many files are looked into for one that tells whose directory it is. */
const LOOKED_INTO_MAX = 16;

/** Whose WAL lies in a directory. */
export interface WalOwner {
  readonly system: string;
  readonly segmentBytes: number;
}

/**
 * Tells whose WAL a directory holds: by the `pg_control` of the data directory that it lies in, else by the first segment in it.
 * Errors: WAL_OWNER_UNKNOWN.
 */
export async function findOwner(walDirectory: string): Promise<WalOwner> {
  try {
    const { systemId, walSegmentSize } = await readControlFile(dirname(walDirectory));
    return { system: systemId, segmentBytes: walSegmentSize };
  } catch (error) {
    // A directory of files alone has none, and a damaged one tells nothing: the files themselves may.
    if (!(error instanceof HoldfastError)) throw error;
  }
  for (const name of (await listNames(walDirectory))
    .filter((each) => SEGMENT_NAME.test(each))
    .slice(0, LOOKED_INTO_MAX)) {
    const file = await openIfSound(join(walDirectory, name), name);
    if (file !== null) return { system: file.system, segmentBytes: file.segmentBytes };
  }
  throw new HoldfastError('WAL_OWNER_UNKNOWN', `cannot tell whose WAL lies in "${walDirectory}"`, {
    detail: 'Expected global/pg_control in the directory above it, or a WAL segment in it, found neither.',
    hints: ['Check the path.'],
  });
}

/** The server's own history file, `null` when it has none. Errors: those of the system but that it is not there. */
export async function readHistoryBeside(walDirectory: string, timeline: number): Promise<string | null> {
  try {
    return await readFile(join(walDirectory, formatHistoryName(timeline)), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The segment before a file, of its own timeline or of the last one before it; `null` when it is there no more. */
export async function findPreviousBeside(walDirectory: string, file: SegmentFile): Promise<SegmentFile | null> {
  if (file.number === 0n) return null;
  for (let timeline = file.timeline; timeline > 0 && timeline > file.timeline - TIMELINES_BACK_MAX; timeline--) {
    const name = formatSegmentName(timeline, file.number - 1n, file.segmentBytes);
    const previous = await openIfSound(join(walDirectory, name), name);
    if (previous !== null && previous.system === file.system) return previous;
  }
  return null;
}

/** A cluster that was promoted several times within one segment is looked through so far. */
const TIMELINES_BACK_MAX = 16;

/** `null` for what is not there, is renamed for later use, or is no WAL: then it proves nothing. */
async function openIfSound(path: string, name: string): Promise<SegmentFile | null> {
  try {
    return await openSegmentFile(path, name);
  } catch (error) {
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

/** The files that wait to be archived behind `name`, in the archiver's order; none where there is no `archive_status`. */
export async function listWaiting(walDirectory: string, name: string): Promise<string[]> {
  const marks = await listNames(join(walDirectory, 'archive_status'));
  const waiting = marks.flatMap((mark) => /^([0-9A-F]{24})\.ready$/.exec(mark)?.[1] ?? []);
  return waiting.filter((each) => each > name).sort();
}

async function listNames(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR' || codeOf(error) === 'EACCES') return [];
    throw error;
  }
}
