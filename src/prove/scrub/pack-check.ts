import { HoldfastError } from '../../lib/index.ts';
import {
  type ChunkLocation,
  HEADER_BYTES,
  type IndexedPack,
  listPackEntries,
  type PackEntry,
  PackOpener,
  packName,
  type Repository,
  readPackDirectory,
} from '../../repository/index.ts';

/** Stored bytes asked for at once: a few chunks, so that one request serves several and memory stays small. */
const runBytesMax = 4 << 20;

/** What the store or the cipher says of bytes that are not as they were written; anything else is the store's own trouble. */
const damageCodes = new Set([
  'OBJECT_ABSENT',
  'OBJECT_TRUNCATED',
  'OBJECT_DAMAGED',
  'OBJECT_NEWER',
  'CHUNK_DAMAGED',
  'KEY_EPOCH_ABSENT',
]);

/** What is wrong with one pack. */
export interface PackFinding {
  /** The object's name. */
  readonly pack: string;
  readonly packId: Buffer;
  /** What was found, one whole sentence each, the first few. */
  readonly sentences: readonly string[];
  /** True when no frame of it can be used. */
  readonly isLost: boolean;
  /** Offsets of the frames that cannot be used, when some can. */
  readonly badOffsets: ReadonlySet<number>;
}

/** More sentences about one pack would say nothing new. */
const sentencesMax = 5;

export interface PackCheck {
  readonly bytes: number;
  readonly chunks: number;
  /** `null` for a pack that is sound. */
  readonly finding: PackFinding | null;
}

/**
 * Reads a whole pack as the index describes it: every frame is decrypted and unpacked and its identity computed again, and the pack's own
 * directory must say the same. `onBytes` is told of stored bytes as they were read.
 *
 * Errors: those of the store when it could not answer, which says nothing about the pack; the signal's reason.
 */
export async function checkPack(
  repository: Repository,
  pack: IndexedPack,
  options: { onBytes: (bytes: number) => void; signal: AbortSignal | undefined },
): Promise<PackCheck> {
  const name = packName(pack.packId);
  const sentences: string[] = [];
  const badOffsets = new Set<number>();
  let bytes = 0;
  let chunks = 0;
  let opener: PackOpener;
  try {
    await checkDirectory(repository, pack, sentences);
    opener = new PackOpener({ keys: repository.keys, ...pack });
  } catch (error) {
    return { bytes, chunks, finding: lostPack(pack, name, damageIn(error)) };
  }
  for (const run of groupRuns(pack)) {
    options.signal?.throwIfAborted();
    const stored = await readRun(repository, name, run, sentences);
    for (const entry of run) {
      chunks += 1;
      const frame = stored?.subarray(entry.offset - run[0]!.offset).subarray(0, entry.frameLength);
      const problem = frame === undefined ? 'its bytes are not there' : whyBad(repository, opener, entry, frame);
      if (problem === null) continue;
      badOffsets.add(entry.offset);
      if (sentences.length < sentencesMax)
        sentences.push(`The chunk at offset ${entry.offset} cannot be used: ${problem}.`);
    }
    const length = run.reduce((sum, entry) => sum + entry.frameLength, 0);
    bytes += length;
    options.onBytes(length);
  }
  const finding =
    sentences.length === 0
      ? null
      : { pack: name, packId: Buffer.from(pack.packId), sentences, isLost: false, badOffsets };
  return { bytes, chunks, finding };
}

/** Whether a copy of a chunk can still be used, given what was found. */
export function isUsable(location: ChunkLocation, findings: ReadonlyMap<string, PackFinding>): boolean {
  const finding = findings.get(packName(location.packId));
  return finding === undefined || !(finding.isLost || finding.badOffsets.has(location.offset));
}

/** Header, trailer and directory. What is wrong with them is told; an object that is gone or cannot be opened at all is thrown. */
async function checkDirectory(repository: Repository, pack: IndexedPack, sentences: string[]): Promise<void> {
  try {
    const found = await readPackDirectory(repository.store, repository.keys, pack.packId);
    const same = found.content === pack.content && found.epoch === pack.epoch && found.entries.equals(pack.entries);
    if (!same) sentences.push('Its directory says something else than the index.');
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'OBJECT_DAMAGED') throw error;
    sentences.push(error.detail ?? error.message);
  }
}

/** Frames lie back to back, so neighbours are read together. */
function* groupRuns(pack: IndexedPack): Generator<PackEntry[], void> {
  let run: PackEntry[] = [];
  let length = 0;
  for (const entry of listPackEntries(pack.entries, HEADER_BYTES)) {
    if (run.length > 0 && length + entry.frameLength > runBytesMax) {
      yield run;
      run = [];
      length = 0;
    }
    run.push(entry);
    length += entry.frameLength;
  }
  if (run.length > 0) yield run;
}

/** The stored bytes of a run, as far as the object goes; `null` when it ends before them. */
async function readRun(
  repository: Repository,
  name: string,
  run: readonly PackEntry[],
  sentences: string[],
): Promise<Buffer | null> {
  const offset = run[0]!.offset;
  const last = run.at(-1)!;
  try {
    return await repository.store.getRange(name, offset, last.offset + last.frameLength - offset);
  } catch (error) {
    const damage = damageIn(error);
    if (sentences.length < sentencesMax) sentences.push(damage.detail ?? damage.message);
    return null;
  }
}

function whyBad(repository: Repository, opener: PackOpener, entry: PackEntry, frame: Buffer): string | null {
  try {
    const raw = opener.openChunkFrame(entry, frame);
    // The cipher vouches for what was written; this says that what was written was the chunk that its identity names.
    return repository.keys.identifyChunk(raw).equals(entry.id)
      ? null
      : 'it is authentic but not the chunk of its identity';
  } catch (error) {
    damageIn(error);
    return 'it is not authentic';
  }
}

function lostPack(pack: IndexedPack, name: string, error: HoldfastError): PackFinding {
  const sentences = [error.detail ?? error.message];
  return { pack: name, packId: Buffer.from(pack.packId), sentences, isLost: true, badOffsets: new Set() };
}

/** Gives back an error that speaks of damage and throws any other. */
function damageIn(error: unknown): HoldfastError {
  if (error instanceof HoldfastError && damageCodes.has(error.code)) return error;
  throw error;
}
