import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { HoldfastError, type Progress } from '../../lib/index.ts';
import { formatBackupManifest, type ListedFile } from '../../postgres/index.ts';
import {
  type ChunkIndex,
  type FetchChunk,
  type FileEntry,
  type FileMap,
  mapLength,
  type Repository,
  readFileMap,
  withMapsAhead,
} from '../../repository/index.ts';
import { ContentComparer } from '../content-comparer.ts';
import type { RestoreProposal } from '../proposal.ts';
import type { ClaimedTarget } from './claim-target.ts';
import { CONTROL_FILE, WAITING_CONTROL_FILE } from './extract-files.ts';
import { readDataEntries } from './read-outline.ts';

export const MANIFEST_NAME = 'backup_manifest';

/** Settings for the recovery are added to it, and it is one of the files at which pg_verifybackup never looks. */
const NOT_LISTED = ['postgresql.auto.conf', 'recovery.signal'];

/** From here on a server writes this form. */
const VERSION_2_SINCE_MAJOR = 17;

/**
 * Reads every restored file back, compares it with the backup, and writes a manifest of what was read, with which pg_verifybackup finds later
 * whether the directory is still that. For use once all is synced, before the server could start; the caller syncs the directory.
 *
 * `made` are files that the restore has made besides those of the backup. Gives the manifest's path.
 * Errors: RESTORE_READ_BACK_DIFFERS; those of the repository; of the file system as they are.
 */
export async function writeManifest(options: {
  repository: Repository;
  index: ChunkIndex;
  readChunk: FetchChunk;
  proposal: RestoreProposal;
  target: ClaimedTarget;
  made: readonly string[];
  progress: Progress;
  signal?: AbortSignal | undefined;
}): Promise<string> {
  const { readChunk, proposal, target, made, progress } = options;
  const { snapshot } = proposal;
  progress.begin('reading it back', { unit: 'bytes', total: snapshot.bytes });
  const reader = new BackReader(options);
  const files: ListedFile[] = [];
  for await (const { entry, fetch } of withMapsAhead(readDataEntries(snapshot, readChunk), readChunk)) {
    options.signal?.throwIfAborted();
    if (entry.type === 'file' && !NOT_LISTED.includes(entry.path)) files.push(await reader.read(entry, fetch));
  }
  for (const path of made) {
    if (NOT_LISTED.includes(path)) continue;
    const content = await readFile(join(target.path, path));
    files.push({ path, size: content.length, crc32c: crc32c(content) });
  }
  return await store(target, files, proposal);
}

/** Reads files back, one after the other. */
class BackReader {
  readonly #index: ChunkIndex;
  readonly #target: ClaimedTarget;
  readonly #progress: Progress;
  readonly #comparer: ContentComparer;

  constructor(options: { repository: Repository; index: ChunkIndex; target: ClaimedTarget; progress: Progress }) {
    this.#index = options.index;
    this.#target = options.target;
    this.#progress = options.progress;
    this.#comparer = new ContentComparer(options.repository.keys);
  }

  async read(entry: FileEntry, fetch: FetchChunk): Promise<ListedFile> {
    const path = join(this.#target.path, entry.path === CONTROL_FILE ? WAITING_CONTROL_FILE : entry.path);
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    let at = 0;
    let crc = 0;
    for await (const map of readFileMap(entry, fetch)) {
      const length = mapLength(map);
      const [first] = await this.#comparer.compare(file, at, length, map);
      if (first !== undefined && this.#canTell(map)) throw readBackDiffers(path, at + first.at);
      crc = crc32c(this.#comparer.lastRead(length), crc);
      at += length;
      this.#progress.advance(length);
    }
    return { path: entry.path, size: at, crc32c: crc };
  }

  /** Without fingerprints only whole chunks can be told by their identities: a part of one counts as different, whatever it is. */
  #canTell({ fingerprints, extents }: FileMap): boolean {
    if (fingerprints !== null) return true;
    return extents.every(
      (extent) =>
        extent.form === 'zero' ||
        (extent.offset === 0 && this.#index.lookup(extent.id)[0]?.rawLength === extent.length),
    );
  }
}

async function store(target: ClaimedTarget, files: readonly ListedFile[], proposal: RestoreProposal): Promise<string> {
  const { system, serverMajor, timeline, start, end } = proposal.snapshot;
  const version = serverMajor >= VERSION_2_SINCE_MAJOR ? 2 : 1;
  const path = join(target.path, MANIFEST_NAME);
  await using file = await open(path, 'w', 0o600);
  const walRanges = [{ timeline, startLsn: start, endLsn: end }];
  const systemId = version === 2 ? system : null;
  for (const piece of formatBackupManifest({ version, systemId, files, walRanges })) await file.writeFile(piece);
  if (target.owner !== undefined) await file.chown(target.owner.uid, target.owner.gid);
  await file.sync();
  return path;
}

function readBackDiffers(path: string, at: number): HoldfastError {
  return new HoldfastError(
    'RESTORE_READ_BACK_DIFFERS',
    `cannot trust what was restored: "${path}" reads back otherwise`,
    {
      detail: `Expected the bytes of the backup, found other ones from offset ${at} on, after they had been written and synced.`,
      hints: [
        'Check the disk (its log, smartctl, the memory of the machine) and restore into another place.',
        'The repository is not at fault: what was written had been authenticated.',
      ],
    },
  );
}
