import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoldfastError, messageOf } from '../../lib/index.ts';
import { formatLsn, parseWalFileName, type WalSegment } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { findLineage, type LineageInventory, readWalInventory, type WalInventory } from './inventory.ts';
import { historyObjectName } from './object-names.ts';
import { readHistoryFile } from './second-copy.ts';
import { StoredWal } from './stored-wal.ts';
import { newestTimeline, pathInLineage, storedOnPath, stretchOfSegment } from './timeline-path.ts';

/**
 * What PostgreSQL understands of a `restore_command` (rule A3): 0, the file is placed; 1, there is no such file, so that recovery may end here;
 * above 125, stop, as nothing is known.
 */
export const WAL_FETCH_EXIT = { placed: 0, absent: 1, failed: 126 } as const;

/** How a fetch ended, with the sentence for the server's log. */
export interface WalFetchResult {
  readonly exitCode: (typeof WAL_FETCH_EXIT)[keyof typeof WAL_FETCH_EXIT];
  readonly reason: string;
  readonly error: HoldfastError | null;
}

export interface WalFetchOptions {
  /** The system identifier of the server that asks. */
  readonly system: string;
  /** Needed when the system has more than one lineage. */
  readonly lineage?: string;
  /** The last timeline of the history that is to be recovered; the newest one of the lineage when not given. */
  readonly timeline?: number;
  /** What PostgreSQL asks for (`%f`). */
  readonly name: string;
  /** Where it is to be placed (`%p`), made absolute. */
  readonly destination: string;
}

/**
 * Places a WAL segment or a history file where PostgreSQL wants it.
 *
 * The file appears under its name when it is whole and synced, never before. "Absent" is said only after a listing that succeeded and that
 * shows it: every error, a hole in the WAL, damage and a system that the repository has never seen are "failed". Never throws.
 */
export async function fetchWalFile(repository: Repository, options: WalFetchOptions): Promise<WalFetchResult> {
  const { listingsWithoutPrimary: before } = repository.store;
  try {
    const inventory = await readWalInventory(repository, options.system);
    const lineage = chooseLineage(inventory, options);
    const result = await fetchFrom(repository, inventory, lineage, options);
    const isWhole = repository.store.listingsWithoutPrimary === before;
    return result.exitCode === WAL_FETCH_EXIT.absent && !isWhole ? failed(endUnknown(options.name, result)) : result;
  } catch (error) {
    return failed(error);
  }
}

async function fetchFrom(
  repository: Repository,
  inventory: WalInventory,
  lineage: LineageInventory,
  options: WalFetchOptions,
): Promise<WalFetchResult> {
  const file = parseWalFileName(options.name, lineage.header.segmentBytes);
  if (file.kind === 'timeline-history') {
    const objectName = historyObjectName(lineage, file.timeline);
    const damage = inventory.damaged.find((damaged) => damaged.objectName === objectName);
    if (damage !== undefined) throw damage.error;
    if (!lineage.histories.has(file.timeline)) return absent(`no history of timeline ${file.timeline} is stored`);
    await placeFile(options.destination, once(await readHistoryFile(repository, lineage, file.timeline)));
    return placed(options.name);
  }
  if (file.kind === 'segment') return fetchSegment(repository, lineage, file.segment, options);
  return absent(`files such as "${options.name}" are not kept`);
}

async function fetchSegment(
  repository: Repository,
  lineage: LineageInventory,
  segment: WalSegment,
  options: WalFetchOptions,
): Promise<WalFetchResult> {
  const { segmentBytes } = lineage.header;
  const end = segment.startLsn + BigInt(segmentBytes);
  const path = pathInLineage(lineage, options.timeline ?? newestTimeline(lineage));
  const expected = stretchOfSegment(path, segment.number, segmentBytes).timeline;
  if (segment.timeline > expected) return absent(`timeline ${segment.timeline} has no WAL there`);
  // Asked for under an older timeline's name, which the server does when it found none under the newer one's: only what is stored whole
  // under that name may be given, as a tail of an older timeline is never replayed (rule A6).
  const isTail = segment.timeline === expected;
  const own = isTail ? path : pathInLineage(lineage, segment.timeline);
  const isWhole = lineage.timelines.get(segment.timeline)?.segments.has(segment.number) === true;
  const ranges = storedOnPath(lineage, path);
  if (!isWhole && !isTail) {
    return absent(`WAL of timeline ${segment.timeline} ends before it, and timeline ${expected} goes on`);
  }
  if (!ranges.some((range) => range.start <= segment.startLsn && segment.startLsn < range.end) && !isWhole) {
    const later = ranges.find((range) => range.end > segment.startLsn);
    if (later !== undefined) throw hole(options.name, segment.startLsn, later.start);
    return absent(`the stored WAL ends at ${formatLsn(ranges.at(-1)?.end ?? 0n)}`);
  }
  const stored = new StoredWal(repository, lineage, own);
  let validUntil = segment.startLsn;
  await placeFile(options.destination, paddedSegment());
  return validUntil === end ? placed(options.name) : placed(options.name, `valid up to ${formatLsn(validUntil)}`);

  async function* paddedSegment(): AsyncGenerator<Buffer, void> {
    for await (const piece of stored.read(segment.startLsn, end)) {
      yield piece;
      validUntil += BigInt(piece.length);
    }
    const later = ranges.find((range) => range.start > validUntil);
    if (validUntil < end && later !== undefined) throw hole(options.name, validUntil, later.start);
    for (let left = Number(end - validUntil); left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
  }
}

const ZEROS = Buffer.alloc(1024 * 1024);

function chooseLineage(inventory: WalInventory, options: WalFetchOptions): LineageInventory {
  if (options.lineage !== undefined) return findLineage(inventory, options.lineage);
  // A lineage that cannot be read may be the one that is meant.
  const unreadable = inventory.damaged.find(({ objectName }) => objectName.endsWith('/lineage'));
  if (unreadable !== undefined) throw unreadable.error;
  const [only, ...others] = inventory.lineages;
  if (only !== undefined && others.length === 0) return only;
  if (only === undefined) {
    throw new HoldfastError('WAL_SYSTEM_ABSENT', `cannot find WAL of the system "${options.system}"`, {
      detail: 'The repository holds no readable lineage of it.',
      hints: ['Check that this is the repository of this cluster: `holdfast wal status` lists the systems.'],
    });
  }
  throw new HoldfastError('WAL_LINEAGE_AMBIGUOUS', `cannot tell which WAL of the system "${options.system}" is meant`, {
    detail: `It has ${inventory.lineages.length} lineages, in which the same name stands for different WAL.`,
    hints: ['Name the lineage; `holdfast wal status` lists them with where each one forked.'],
  });
}

/** Writes beside the destination, syncs, renames, syncs the directory: PostgreSQL never sees a part of the file. */
async function placeFile(destination: string, pieces: AsyncIterable<Buffer>): Promise<void> {
  const unfinished = `${destination}.holdfast-${randomBytes(6).toString('hex')}`;
  try {
    {
      await using file = await open(unfinished, 'wx', 0o600);
      for await (const piece of pieces) await file.writeFile(piece);
      await file.sync();
    }
    await rename(unfinished, destination);
    await using directory = await open(dirname(destination), 'r');
    await directory.sync();
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield bytes;
}

function placed(name: string, remark?: string): WalFetchResult {
  const reason = `placed "${name}"${remark === undefined ? '' : `, ${remark}`}`;
  return { exitCode: WAL_FETCH_EXIT.placed, reason, error: null };
}

function absent(reason: string): WalFetchResult {
  return { exitCode: WAL_FETCH_EXIT.absent, reason, error: null };
}

function failed(error: unknown): WalFetchResult {
  const named =
    error instanceof HoldfastError
      ? error
      : new HoldfastError('WAL_FETCH_FAILED', 'could not fetch WAL', { detail: `${messageOf(error)}.`, cause: error });
  return { exitCode: WAL_FETCH_EXIT.failed, reason: named.message, error: named };
}

/** A copy may be behind: what it lacks, the primary may have. */
function endUnknown(name: string, { reason }: WalFetchResult): HoldfastError {
  return new HoldfastError('WAL_FETCH_FAILED', `could not find out whether there is WAL file "${name}"`, {
    detail: `Of the places that answer, ${reason}; the primary did not answer, and may have more.`,
    hints: ['Mend the way to the primary. If it is lost, make a copy the primary, or read from one alone with --from.'],
    retryable: true,
  });
}

function hole(name: string, from: bigint, to: bigint): HoldfastError {
  return new HoldfastError('WAL_GAP', `cannot give WAL segment "${name}": WAL is missing`, {
    detail: `Nothing is stored from ${formatLsn(from)} to ${formatLsn(to)}, and WAL goes on behind it.`,
    hints: [
      'Recovery cannot cross the gap: recover to a position before it, or from a base backup that was begun after it.',
    ],
  });
}
