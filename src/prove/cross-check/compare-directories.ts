import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../lib/index.ts';
import {
  BLOCK_BYTES,
  isUnusedPage,
  maskLostRanges,
  maskPage,
  maskSequence,
  parsePageHeader,
  parseRelationPath,
  type RelationSegment,
  readControlFile,
} from '../../postgres/index.ts';
import { type Finding, FindingList, forkOfFile } from '../../protect/backup/index.ts';

/** Read of each file at once. */
const READ_BYTES = 1 << 20;

/** What came of comparing: pages that were compared, and those that are not the same. */
export interface ComparedDirectories {
  readonly pages: number;
  readonly count: number;
  readonly first: readonly Finding[];
}

/**
 * Compares the data files of two data directories whose servers replayed to the same position and were stopped: page by page, masked as PostgreSQL masks
 * pages when it checks replay.
 *
 * Pages that a server changed after it had come to `reachedLsn` and before its last checkpoint are left out: some of the catalogs, in which it was looked
 * around. A position behind that checkpoint is none that the server gave. Free space maps and visibility maps are left out, as they are not logged in
 * full, and so is what is not logged at all: temporary relations, and the main fork of unlogged ones. A file may be longer by pages that were never
 * written to, as they are added to a file without a record.
 *
 * Errors: those of `readControlFile` and of the system.
 */
export async function compareDirectories(
  older: string,
  newer: string,
  options: { readonly reachedLsn: bigint; readonly signal?: AbortSignal | undefined },
): Promise<ComparedDirectories> {
  const findings = new FindingList<Finding>();
  let pages = 0;
  const changedLater = (await Promise.all([older, newer].map(readControlFile))).map(({ checkpointLsn }) => ({
    from: options.reachedLsn,
    to: checkpointLsn,
  }));
  const buffers: Buffers = [Buffer.alloc(READ_BYTES), Buffer.alloc(READ_BYTES)];
  const paths = new Set([...(await listFiles(older)), ...(await listFiles(newer))]);
  for (const path of [...paths].sort()) {
    const file = parseRelationPath(path);
    if (file === null || !isCompared(path, file, paths)) continue;
    options.signal?.throwIfAborted();
    await using handles = new AsyncDisposableStack();
    const pair = await Promise.all([older, newer].map((directory) => openIfThere(join(directory, path), handles)));
    const { name, base } = forkOfFile(file);
    for await (const found of compareFiles(pair, base, { buffers, changedLater })) {
      pages += 1;
      if (found.isSame) continue;
      const block = base + found.page;
      findings.add({ kind: 'differs', ...name, path: `data/${path}`, block, lsn: null, relation: null });
    }
  }
  return { pages, count: findings.count, first: findings.first };
}

function isCompared(path: string, file: RelationSegment, paths: ReadonlySet<string>): boolean {
  if (file.fork === 'fsm' || file.fork === 'vm') return false;
  const first = path.replace(/\.[0-9]+$/, '');
  return file.fork === 'init' || !paths.has(`${first}_init`);
}

/** Files of databases, of what they share and of tablespaces, relative to the data directory. */
async function listFiles(directory: string): Promise<string[]> {
  const files: string[] = [];
  const spaces = await namesIn(join(directory, 'pg_tblspc'));
  const roots = ['base', ...(await Promise.all(spaces.map((space) => versionsOf(directory, space)))).flat()];
  for (const root of roots) {
    for (const database of await namesIn(join(directory, root))) {
      for (const name of await namesIn(join(directory, root, database))) files.push(`${root}/${database}/${name}`);
    }
  }
  for (const name of await namesIn(join(directory, 'global'))) files.push(`global/${name}`);
  return files;
}

async function versionsOf(directory: string, space: string): Promise<string[]> {
  return (await namesIn(join(directory, 'pg_tblspc', space))).map((version) => `pg_tblspc/${space}/${version}`);
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    // A file, or a directory that this cluster does not have.
    if (codeOf(error) === 'ENOTDIR' || codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function openIfThere(path: string, handles: AsyncDisposableStack): Promise<FileHandle | null> {
  try {
    return handles.use(await open(path, 'r'));
  } catch (error) {
    // What only one of the directories has counts as empty in the other.
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Two pieces of memory, used again for every file. */
type Buffers = readonly [Buffer, Buffer];

/** Positions that a server gave to pages after it had come to where both are compared; both ends count. */
interface Positions {
  readonly from: bigint;
  readonly to: bigint;
}

async function* compareFiles(
  [older, newer]: readonly (FileHandle | null)[],
  base: number,
  { buffers: [one, other], changedLater }: { buffers: Buffers; changedLater: readonly Positions[] },
): AsyncGenerator<{ page: number; isSame: boolean }> {
  for (let at = 0; ; at += READ_BYTES) {
    const lengths = await Promise.all([readAt(older!, one, at), readAt(newer!, other, at)]);
    const end = Math.max(...lengths);
    // What a file does not have is zero, as a page that was never written to is.
    one.fill(0, lengths[0], end);
    other.fill(0, lengths[1], end);
    for (let offset = 0; offset < end; offset += BLOCK_BYTES) {
      const page = (at + offset) / BLOCK_BYTES;
      const [ours, theirs] = [one, other].map((bytes) => bytes.subarray(offset, offset + BLOCK_BYTES)) as [
        Buffer,
        Buffer,
      ];
      // A server that was opened prunes and marks what it reads: such a page is no longer what replay made of it.
      if ([ours, theirs].some((state, i) => isPositionIn(changedLater[i]!, state))) continue;
      yield { page, isSame: isSamePage(ours, theirs, base + page) };
    }
    if (end < READ_BYTES) return;
  }
}

function isPositionIn({ from, to }: Positions, page: Buffer): boolean {
  const { lsn } = parsePageHeader(page);
  return from <= lsn && lsn <= to;
}

function isSamePage(one: Buffer, other: Buffer, block: number): boolean {
  if (one.equals(other) || (isUnusedPage(one) && isUnusedPage(other))) return true;
  maskLostRanges(one, other);
  for (const state of [one, other]) {
    maskSequence(state);
    maskPage(state, block);
  }
  return one.equals(other);
}

async function readAt(handle: FileHandle | null, buffer: Buffer, at: number): Promise<number> {
  let have = 0;
  while (handle !== null && have < buffer.length) {
    const { bytesRead } = await handle.read(buffer, have, buffer.length - have, at + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return have;
}
