import { parseLsn } from '../../../postgres/index.ts';
import {
  type ChunkIndex,
  type FetchChunk,
  isTreeLoss,
  listTreeChunks,
  lockingPlaces,
  type Repository,
  type SnapshotRecord,
} from '../../../repository/index.ts';
import { checksumFailuresOf } from '../checksum-failures.ts';
import { type Doubts, readDoubts } from '../doubts.ts';
import { PreviousFiles } from './previous-files.ts';

/**
 * What the older backup is for. `increment`: unchanged blocks are taken from it unseen, so all of it has to be sound. `comparison`: everything is read
 * again and compared with it, so what is lost of it is stored anew.
 */
export type PreviousPurpose = 'increment' | 'comparison';

/** An older backup to build upon, or why there is none, as a sentence without its full stop. */
export type ChosenPrevious =
  | { readonly files: PreviousFiles; readonly why: null }
  | { readonly files: null; readonly why: string };

/** Of the server that is to be read. */
export interface PreviousWanted {
  readonly purpose: PreviousPurpose;
  readonly cluster: string;
  readonly system: string;
  readonly lineage: string;
  readonly timeline: number;
}

/** Older ones are not tried: with each of them more would have changed, and reading everything is soon cheaper. */
const TRIES_MAX = 3;

/**
 * The newest usable snapshot of a server.
 *
 * For an increment it is of the same timeline and lineage, no page of it was damaged on the server, nobody doubts it, and no chunk of its tree lies
 * in a damaged or tombstoned pack, or is missing from the index (rule A1). Whether that is so is read from the tree only where the repository has
 * any such pack, or an index object that cannot be read, or keeps locks: then every pack of the tree counts as one that the new backup needs.
 * Errors: those of the store.
 */
export async function choosePrevious(
  options: PreviousWanted & { repository: Repository; index: ChunkIndex; readChunk: FetchChunk },
): Promise<ChosenPrevious> {
  const { repository, index, readChunk } = options;
  const { snapshots } = await repository.recallSnapshots();
  const candidates = snapshots
    .filter(({ cluster, wal }) => cluster === options.cluster && wal.system === options.system)
    .sort(options.purpose === 'increment' ? newestWalFirst : newestFirst);
  const doubts = options.purpose === 'increment' ? await readDoubts(repository, snapshots) : null;
  let first: string | null = null;
  for (const snapshot of candidates.slice(0, TRIES_MAX)) {
    const why = whyNotUsable(snapshot, options, doubts) ?? (await whyNotSound(snapshot, options));
    if (why === null) {
      try {
        return { files: await PreviousFiles.open({ snapshot, index, readChunk }), why: null };
      } catch (error) {
        if (!isTreeLoss(error)) throw error;
        first ??= `the listing of snapshot ${short(snapshot)} cannot be read: ${error.message}`;
      }
    }
    first ??= why;
  }
  return { files: null, why: first ?? 'there is no earlier backup of this server' };
}

function whyNotUsable(snapshot: SnapshotRecord, wanted: PreviousWanted, doubts: Doubts | null): string | null {
  if (doubts === null) return null;
  const { wal } = snapshot;
  const name = `snapshot ${short(snapshot)}`;
  if (wal.timeline !== wanted.timeline) {
    return `the last backup is of timeline ${wal.timeline}, and the server is on timeline ${wanted.timeline}`;
  }
  if (wal.lineage !== wanted.lineage) return `the server's WAL is no longer that of ${name}`;
  if (checksumFailuresOf(snapshot).length > 0) {
    return `${name} has damaged pages of the server's`;
  }
  return doubts.isAbout(snapshot.id) ? `${name} is in doubt` : null;
}

async function whyNotSound(
  snapshot: SnapshotRecord,
  options: PreviousWanted & { repository: Repository; index: ChunkIndex; readChunk: FetchChunk },
): Promise<string | null> {
  const { repository, index, readChunk, purpose } = options;
  if (purpose === 'comparison') return null;
  if (isWithoutDoubt(index) && lockingPlaces(repository.store).length === 0) return null;
  try {
    for await (const { id } of listTreeChunks(snapshot.tree.root, readChunk)) {
      if (!index.has(id)) return `snapshot ${short(snapshot)} needs what is damaged, lost or about to be deleted`;
    }
    return null;
  } catch (error) {
    if (!isTreeLoss(error)) throw error;
    return `snapshot ${short(snapshot)} is damaged: ${error.message}`;
  }
}

function isWithoutDoubt(index: ChunkIndex): boolean {
  if (index.unreadable.length > 0) return false;
  for (const { doubtful } of index.listPacks()) if (doubtful) return false;
  return true;
}

function newestWalFirst(a: SnapshotRecord, b: SnapshotRecord): number {
  const [one, other] = [parseLsn(a.wal.start), parseLsn(b.wal.start)];
  if (a.wal.timeline !== b.wal.timeline) return b.wal.timeline - a.wal.timeline;
  if (one !== other) return one < other ? 1 : -1;
  return newestFirst(a, b);
}

function newestFirst(a: SnapshotRecord, b: SnapshotRecord): number {
  return a.startedAt < b.startedAt ? 1 : -1;
}

function short({ id }: SnapshotRecord): string {
  return id.slice(0, 12);
}
