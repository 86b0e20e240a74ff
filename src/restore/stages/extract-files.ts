import { constants, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { assert, inLanes, type Progress, unreachable } from '../../lib/index.ts';
import {
  type ChunkIndex,
  type EntryAhead,
  ExtractPipeline,
  type FetchChunk,
  type FileEntry,
  type FileMap,
  type LostChunk,
  mapLength,
  type Repository,
  readFileMap,
  recordDamage,
  type TreeEntry,
  withMapsAhead,
} from '../../repository/index.ts';
import { ContentComparer } from '../content-comparer.ts';
import type { RestoreProposal } from '../proposal.ts';
import { ASIDE_PREFIX, isMarkerName } from '../restore-marker.ts';
import { SPOOL_DIRECTORY } from '../spool/index.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { DirectorySweeper } from './directory-sweeper.ts';
import { listOtherVersions, TABLESPACE_MARKER } from './inspect-tablespaces.ts';
import { type EarlierContent, FilePlacer } from './place-file.ts';
import { addDifferences, addWhole } from './plan-extents.ts';
import { readDataEntries, type TreeOutline } from './read-outline.ts';

/** Where `global/pg_control` waits until everything else is durable. Under this name no server finds it. */
export const WAITING_CONTROL_FILE = 'global/pg_control.holdfast-restoring';
export const CONTROL_FILE = 'global/pg_control';

/** Directories that a server expects and that a backup need not name. */
const NEEDED_DIRECTORIES = ['pg_wal', 'pg_wal/archive_status'];

const GROUP_READABLE = 0o040;

/** What was written. */
export interface ExtractedFiles {
  /** Relative paths, `pg_control` under its waiting name. */
  readonly files: readonly string[];
  readonly directories: readonly string[];
  readonly bytes: number;
  readonly reuse: Reuse;
}

/** What of the files was there before, in bytes. */
export interface Reuse {
  /** Was there, was compared and stays. */
  readonly reusedBytes: number;
  /** Written by us. */
  readonly writtenBytes: number;
  /** Of packs, as they are stored: compressed, and each chunk once for each file. Null when nothing was compared. */
  readonly fetchedBytes: number | null;
  /** Of the files with which the restore began, those that share their blocks with another directory's, and those that were copied. */
  readonly clonedBytes: number;
  readonly copiedBytes: number;
  /** Files and directories that do not belong to the backup. */
  readonly removed: number;
}

/**
 * Writes all files of the snapshot, in parallel, from packs straight into their places. Nothing is synced yet.
 *
 * Where there are bytes already, in the directory itself (of a server, or of a restore that was broken off) or from a clone, they are compared
 * first, and only what differs is fetched. What does not belong there is removed, directory after directory.
 *
 * A pack in which a chunk failed authentication is recorded as damaged, also when another copy of the chunk was sound (rule A1).
 * Errors: CHUNK_DAMAGED, CHUNK_ABSENT, TREE_INVALID; those of the store; of the file system as they are.
 */
export async function extractFiles(options: {
  repository: Repository;
  index: ChunkIndex;
  readChunk: FetchChunk;
  proposal: RestoreProposal;
  outline: TreeOutline;
  target: ClaimedTarget;
  progress: Progress;
  workers?: number;
  signal?: AbortSignal;
  /** Is told of chunks that no pack could give, before the error says so in words. */
  onLost: (lost: readonly LostChunk[]) => void;
}): Promise<ExtractedFiles> {
  const { repository, index, readChunk, proposal, outline, progress } = options;
  progress.begin('restoring files', { unit: 'bytes', total: outline.bytes });
  const pipeline = new ExtractPipeline({
    repository,
    index,
    workers: options.workers ?? availableParallelism(),
    onBytes: (written) => extraction.written(written),
  });
  const extraction = new Extraction({ ...options, pipeline });
  const files: string[] = [];
  try {
    // The workers start meanwhile.
    const directories = extraction.makeDirectories(outline);
    const entries = withMapsAhead(readDataEntries(proposal.snapshot, readChunk), readChunk);
    await inLanes(extraction.lanes, extraction.place(entries, options.signal), async (file) => {
      files.push(file.path);
      await extraction.bring(file);
    });
    await pipeline.finish();
    await extraction.sweepRest();
    return { files, directories, bytes: extraction.bytes, reuse: extraction.reuse() };
  } finally {
    await pipeline.abandon();
    options.onLost(pipeline.lostChunks);
    await reportDamage(repository, pipeline.damagedPacks, progress);
  }
}

interface ExtractionParts {
  readonly repository: Repository;
  readonly index: ChunkIndex;
  readonly proposal: RestoreProposal;
  readonly target: ClaimedTarget;
  readonly progress: Progress;
  readonly pipeline: ExtractPipeline;
}

/** Files that are compared at the same time, each in 8 MiB of memory: one is read while another one is hashed. */
const COMPARED_MAX = 3;

/** A file in its place, whose bytes are to be brought. `fetch` gives its map. */
interface PlacedFile {
  readonly path: string;
  readonly entry: FileEntry;
  readonly earlier: EarlierContent;
  readonly fetch: FetchChunk;
}

/** Brings the files of a snapshot into a directory, and counts. */
class Extraction {
  /** Files under way at the same time: where nothing is compared, asking for one after the other keeps them in the order of the packs. */
  readonly lanes: number;
  readonly #parts: ExtractionParts;
  readonly #placer: FilePlacer;
  /** Those that nobody uses. */
  readonly #comparers: ContentComparer[];
  readonly #isCompared: boolean;
  readonly #sweeper: DirectorySweeper | null;
  #reused = 0;
  #written = 0;
  #fetched = 0;
  #cloned = 0;
  #copied = 0;
  bytes = 0;

  constructor(parts: ExtractionParts) {
    const { proposal, target, repository } = parts;
    const delta = proposal.manner === 'delta';
    this.#parts = parts;
    const reuses = delta || target.goesOn;
    this.#placer = new FilePlacer(target, { reuses, cloneFrom: proposal.cloneFrom });
    this.#isCompared = reuses || proposal.manner !== 'new';
    this.lanes = this.#isCompared ? COMPARED_MAX : 1;
    const comparers = this.#isCompared ? COMPARED_MAX : 0;
    this.#comparers = Array.from({ length: comparers }, () => new ContentComparer(repository.keys));
    this.#sweeper = reuses ? new DirectorySweeper(target.path, sparedNames(target, proposal)) : null;
  }

  /** Parents come before what lies in them, as the tree is sorted by path. */
  makeDirectories(outline: TreeOutline): string[] {
    const modes = new Map(outline.directories.map(({ path, mode }) => [path, mode & 0o777]));
    for (const path of NEEDED_DIRECTORIES) if (!modes.has(path)) modes.set(path, 0o700);
    for (const [path, mode] of modes) this.#placer.placeDirectory(path, mode);
    // A server that lets its group read does so from the top.
    if (((modes.get('global') ?? 0) & GROUP_READABLE) !== 0) this.#placer.placeDirectory('.', 0o750);
    return [...modes.keys()];
  }

  /** Makes one file after the other in its place, and sweeps between them, in the order of the tree. */
  async *place(
    entries: AsyncIterable<EntryAhead<Exclude<TreeEntry, { type: 'link' }>>>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<PlacedFile, void> {
    for await (const { entry, fetch } of entries) {
      signal?.throwIfAborted();
      const path = entry.path === CONTROL_FILE ? WAITING_CONTROL_FILE : entry.path;
      await this.#sweeper?.keep(path, entry.type);
      if (entry.type !== 'file') continue;
      const earlier = this.#placer.place(path, entry);
      this.#count(earlier, entry);
      this.bytes += entry.size;
      yield { path, entry, earlier, fetch };
    }
  }

  async bring({ path, entry, earlier, fetch }: PlacedFile): Promise<void> {
    if (entry.size === 0) return;
    if (earlier === 'none') return await this.#fetchWhole(path, entry, fetch);
    const comparer = this.#comparers.pop();
    assert(comparer !== undefined, 'there is a comparer for each lane');
    await this.#fetchDifferences(path, entry, { fetch, comparer });
    this.#comparers.push(comparer);
  }

  async sweepRest(): Promise<void> {
    await this.#sweeper?.finish();
  }

  written(bytes: number): void {
    this.#written += bytes;
    this.#parts.progress.advance(bytes);
  }

  reuse(): Reuse {
    return {
      reusedBytes: this.#reused,
      writtenBytes: this.#written,
      fetchedBytes: this.#isCompared ? this.#fetched : null,
      clonedBytes: this.#cloned,
      copiedBytes: this.#copied,
      removed: this.#sweeper?.removed ?? 0,
    };
  }

  #count(earlier: EarlierContent, { size }: FileEntry): void {
    switch (earlier) {
      case 'none':
      case 'in-place':
        return;
      case 'cloned':
        this.#cloned += size;
        return;
      case 'copied':
        this.#copied += size;
        return;
      default:
        unreachable(earlier);
    }
  }

  async #fetchWhole(path: string, entry: FileEntry, fetch: FetchChunk): Promise<void> {
    const { pipeline, target } = this.#parts;
    const absolute = join(target.path, path);
    let at = 0;
    for await (const map of readFileMap(entry, fetch)) {
      if (this.#isCompared) this.#countFetched(map, [{ at: 0, length: mapLength(map) }]);
      await addWhole(pipeline, absolute, at, map);
      at += mapLength(map);
    }
  }

  async #fetchDifferences(
    path: string,
    entry: FileEntry,
    { fetch, comparer }: { fetch: FetchChunk; comparer: ContentComparer },
  ): Promise<void> {
    const { pipeline, target, progress } = this.#parts;
    const absolute = join(target.path, path);
    // Opened to be written, too: zeros are put down here, as no chunk brings them.
    await using opened = await open(absolute, constants.O_RDWR | constants.O_NOFOLLOW);
    let at = 0;
    for await (const map of readFileMap(entry, fetch)) {
      const length = mapLength(map);
      const differences = await comparer.compare(opened, at, length, map);
      const equal = length - differences.reduce((sum, difference) => sum + difference.length, 0);
      this.#reused += equal;
      progress.advance(equal);
      if (differences.length > 0) {
        this.#countFetched(map, differences);
        await addDifferences({ pipeline, path: absolute, start: at, map, differences, opened });
      }
      at += length;
    }
  }

  #countFetched(map: FileMap, differences: readonly { at: number; length: number }[]): void {
    let at = 0;
    for (const extent of map.extents) {
      const end = at + extent.length;
      const isTouched = differences.some((difference) => difference.at < end && difference.at + difference.length > at);
      if (extent.form === 'chunk' && isTouched) {
        this.#fetched += this.#parts.index.lookup(extent.id)[0]?.frameLength ?? 0;
      }
      at = end;
    }
  }
}

/**
 * What a sweep leaves alone: our own files, what lies aside, the WAL, links of tablespaces, which were settled before, and what a cluster of another
 * version has in their directories.
 */
function sparedNames(target: ClaimedTarget, proposal: RestoreProposal): string[] {
  return [
    ...[SPOOL_DIRECTORY, 'pg_wal', 'pg_tblspc'],
    ...readdirSync(target.path).filter((name) => isMarkerName(name) || name.startsWith(ASIDE_PREFIX)),
    ...proposal.tablespaces.flatMap(({ oid }) => [`pg_tblspc/${oid}`, `pg_tblspc/${oid}/${TABLESPACE_MARKER}`]),
    ...proposal.tablespaces.flatMap(({ oid, path }) =>
      listOtherVersions(path ?? join(target.path, 'pg_tblspc', String(oid)), proposal.snapshot.serverMajor).map(
        (name) => `pg_tblspc/${oid}/${name}`,
      ),
    ),
  ];
}

async function reportDamage(repository: Repository, packs: readonly string[], progress: Progress): Promise<void> {
  for (const pack of packs) {
    progress.note(`Pack ${pack.slice(0, 12)} is damaged.`);
    if (repository.access === 'read') continue;
    // The restore's own outcome counts more than the record: a store that cannot take it now is met again by the next verify.
    await recordDamage(repository, Buffer.from(pack, 'hex'), { foundBy: 'restore' }).catch((error) =>
      progress.note(`The damage could not be recorded: ${String(error)}`),
    );
  }
}
