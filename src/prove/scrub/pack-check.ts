import type { HoldfastError } from '../../lib/index.ts';
import {
  type ChunkLocation,
  HEADER_BYTES,
  type IndexedPack,
  listPackEntries,
  type PackDirectory,
  type PackEntry,
  PackOpener,
  packName,
  type Repository,
  readPackDirectory,
} from '../../repository/index.ts';
import type { FrameChecker } from './frame-checker.ts';
import { type Reading, readCarefully, sentenceOf } from './read-carefully.ts';

/** Stored bytes asked for at once: a few chunks, so that one request serves several and memory stays small. */
const runBytesMax = 2 << 20;

/** More sentences about one pack would say nothing new. */
const sentencesMax = 5;

/** Frames for which a reading is waited for between attempts; behind them the pack is known to be bad. */
const patientFramesMax = 3;

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

export interface PackCheck {
  readonly bytes: number;
  readonly chunks: number;
  /** `null` for a pack that is sound. */
  readonly finding: PackFinding | null;
  /** Why it could not be read to the end by us; then nothing is said about it. */
  readonly denied: HoldfastError | null;
  /** Whether some of it could be read only when it was asked for again. */
  readonly isFlaky: boolean;
}

export interface PackCheckOptions {
  readonly frames: FrameChecker;
  /** Told of stored bytes as they were read. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads a whole pack as the index describes it: every frame is decrypted and unpacked and its identity computed again, and the pack's own
 * directory must say the same.
 *
 * Errors: those of the store when it could not answer, which says nothing about the pack; the signal's reason.
 */
export async function checkPack(
  repository: Repository,
  pack: IndexedPack,
  options: PackCheckOptions,
): Promise<PackCheck> {
  const check = new OpenPackCheck(repository, pack, options);
  return check.run();
}

/** The finding about a pack that is not there. */
export function absentPack(packId: Uint8Array): PackFinding {
  return lostPack(packId, ['It is not in the store.']);
}

/** Whether a copy of a chunk can still be used, given what was found. */
export function isUsable(location: ChunkLocation, finding: PackFinding | undefined): boolean {
  return finding === undefined || !(finding.isLost || finding.badOffsets.has(location.offset));
}

class OpenPackCheck {
  readonly #repository: Repository;
  readonly #pack: IndexedPack;
  readonly #options: PackCheckOptions;
  readonly #name: string;
  readonly #sentences: string[] = [];
  readonly #badOffsets = new Set<number>();
  #denied: HoldfastError | null = null;
  #isFlaky = false;
  #bytes = 0;
  #chunks = 0;

  constructor(repository: Repository, pack: IndexedPack, options: PackCheckOptions) {
    this.#repository = repository;
    this.#pack = pack;
    this.#options = options;
    this.#name = packName(pack.packId);
  }

  async run(): Promise<PackCheck> {
    const lost = await this.#checkDirectory();
    if (lost !== null) return this.#result(lostPack(this.#pack.packId, [sentenceOf(lost)]));
    for (const run of groupRuns(this.#pack)) {
      if (this.#denied !== null) return this.#result(null);
      this.#options.signal?.throwIfAborted();
      await this.#checkRun(run);
    }
    if (this.#sentences.length === 0 || this.#denied !== null) return this.#result(null);
    const { packId } = this.#pack;
    const found = { isLost: false, badOffsets: this.#badOffsets, sentences: this.#sentences };
    return this.#result({ pack: this.#name, packId: Buffer.from(packId), ...found });
  }

  #result(finding: PackFinding | null): PackCheck {
    const { bytes, chunks } = { bytes: this.#bytes, chunks: this.#chunks };
    return { bytes, chunks, finding, denied: this.#denied, isFlaky: this.#isFlaky };
  }

  /** Header, trailer and directory. Gives why nothing of the pack can be used; a bad directory alone is only told. */
  async #checkDirectory(): Promise<HoldfastError | null> {
    const { store, keys } = this.#repository;
    const { packId, content, epoch, entries } = this.#pack;
    const reading = await readCarefully(this.#repository, () => readPackDirectory(store, keys, packId));
    const directory: PackDirectory | null = this.#note(reading);
    if (directory !== null) {
      const same = directory.content === content && directory.epoch === epoch && directory.entries.equals(entries);
      if (!same) this.#say('Its directory says something else than the index.');
      return null;
    }
    if (reading.kind !== 'damaged') return null;
    // The index has the same entries: without header and directory, the frames can be read all the same.
    if (!['OBJECT_DAMAGED', 'OBJECT_NEWER', 'STORE_FAILED'].includes(reading.error.code)) return reading.error;
    this.#say(sentenceOf(reading.error));
    try {
      new PackOpener({ keys, packId, content, epoch });
      return null;
    } catch (error) {
      // No key of this epoch: then no frame can be opened.
      return error as HoldfastError;
    }
  }

  async #checkRun(run: readonly PackEntry[]): Promise<void> {
    const stored = await this.#readRun(run);
    if (this.#denied !== null) return;
    const length = run.reduce((sum, entry) => sum + entry.frameLength, 0);
    // What the disk could not give in one piece is asked for frame by frame: some of it may still be had.
    const bad = stored === null ? run.map((_, i) => i) : await this.#options.frames.check(this.#pack, run, stored);
    for (const i of bad) await this.#checkAgain(run[i]!);
    this.#chunks += run.length;
    this.#bytes += length;
    this.#options.onBytes(length);
  }

  async #readRun(run: readonly PackEntry[]): Promise<Buffer | null> {
    const [first, last] = [run[0]!, run.at(-1)!];
    const length = last.offset + last.frameLength - first.offset;
    const reading = await readCarefully(this.#repository, () =>
      this.#repository.store.getRange(this.#name, first.offset, length),
    );
    return this.#note(reading);
  }

  /** A frame that was bad, or that did not come: read by itself once more before it is believed. */
  async #checkAgain(entry: PackEntry): Promise<void> {
    if (this.#denied !== null) return;
    const patient = this.#badOffsets.size < patientFramesMax;
    const reading = await readCarefully(
      this.#repository,
      async () => {
        const frame = await this.#repository.store.getRange(this.#name, entry.offset, entry.frameLength);
        this.#options.frames.assertSound(this.#pack, entry, frame);
      },
      { patient },
    );
    if (reading.kind === 'read') this.#isFlaky = true;
    if (reading.kind === 'denied') this.#denied = reading.error;
    if (reading.kind !== 'damaged') return;
    this.#badOffsets.add(entry.offset);
    this.#say(`The chunk at offset ${entry.offset} cannot be used: ${sentenceOf(reading.error)}`);
  }

  #note<T>(reading: Reading<T>): T | null {
    if (reading.kind === 'denied') this.#denied = reading.error;
    if (reading.kind !== 'read') return null;
    this.#isFlaky ||= reading.flaky;
    return reading.value;
  }

  #say(sentence: string): void {
    if (this.#sentences.length < sentencesMax) this.#sentences.push(sentence);
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

function lostPack(packId: Uint8Array, sentences: readonly string[]): PackFinding {
  return { pack: packName(packId), packId: Buffer.from(packId), sentences, isLost: true, badOffsets: new Set() };
}
