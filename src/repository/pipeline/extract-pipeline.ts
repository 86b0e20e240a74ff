import { Worker } from 'node:worker_threads';
import { endThread, errorOfWorker, GarbageGauge, HoldfastError } from '../../lib/index.ts';
import type { ChunkIndex, ChunkLocation } from '../index/index.ts';
import { isAbsent, isDamageOfOnePlace, readProved } from '../object-store/index.ts';
import { PackOpener, packName } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import type {
  Destination,
  ExtractFrame,
  ExtractRequest,
  ExtractResponse,
  ExtractWorkerData,
} from './extract-messages.ts';
import { BATCH_GARBAGE } from './garbage.ts';
import { ReadWindow } from './read-window.ts';

/** Extents sorted and read together: enough to read packs in long runs, few enough to stay within about 10 MB. */
const BATCH_EXTENTS = 16_384;
/** What is kept of one extent while it waits, about. */
const EXTENT_BYTES = 640;
/** Stored bytes read by one request: from a disk, larger ones hold more memory and were slower. */
const RUN_BYTES_MAX = 256 << 10;
/** The same over a long line, where each request costs the store and us more than its bytes do. */
const FAR_RUN_BYTES_MAX = 1 << 20;
/** A hole between wanted frames that is cheaper to read over than to begin a new request for. */
const RUN_GAP_BYTES_MAX = 64 << 10;
/** Runs that may be with one worker: one in work, one that waits for it, and one of which the last bytes are being written. */
const RUNS_PER_WORKER = 3;
/** As in the ingest pipeline. */
const WORKER_NURSERY_MB = 8;
const ID_BYTES = 32;
/** Frames that are looked for in other places at the same moment: there are few, unless a place is damaged as a whole. */
const RESCUERS_MAX = 4;

interface Wanted {
  id: Buffer;
  location: ChunkLocation;
  /** Locations of the same chunk that were not tried yet. */
  others: ChunkLocation[];
  /** Its bytes were proved before they went to a worker. */
  isProved?: boolean;
  destinations: Destination[];
}

interface Run {
  wanted: Wanted[];
  /** Stored bytes, from the first frame to the end of the last. */
  bytes: number;
  /** Who has it; null while it is read, or waits for somebody. */
  slot: WorkerSlot | null;
}

interface WorkerSlot {
  worker: Worker;
  outstanding: number;
}

/** A chunk that no location could give. */
export interface LostChunk {
  id: string;
  packs: string[];
  files: string[];
}

/**
 * Writes extents of chunks into files, on one worker thread per core, reading packs in the order in which they lie.
 *
 * The caller makes each file with its final size, adds its extents in any order, and at the end calls `finish`, after which every byte was
 * handed to the operating system (syncing is the caller's). Memory is bounded by one batch of extents and by `ReadWindow`: a few runs for each
 * worker from a disk, as much as comes during one answer from far away.
 *
 * A chunk that fails authentication in one pack is taken from another one that has it. What no pack has is named, all of it, by
 * `CHUNK_DAMAGED` from `finish`, with the files that would be wrong; no doubtful byte is written.
 */
export class ExtractPipeline {
  readonly #repository: SealedObjects;
  readonly #index: ChunkIndex;
  readonly #garbage = new GarbageGauge(BATCH_GARBAGE);
  readonly #onBytes: (bytes: number) => void;
  readonly #slots: WorkerSlot[] = [];
  readonly #runs = new Map<number, Run>();
  /** Read, and nobody is free for them. */
  readonly #ready: { run: number; bytes: Buffer }[] = [];
  readonly #window: ReadWindow;
  readonly #waiters: (() => void)[] = [];
  readonly #lost: LostChunk[] = [];
  readonly #damagedPacks = new Set<string>();
  #batch = new Map<string, Wanted>();
  #batchExtents = 0;
  #turn: Promise<void> = Promise.resolve();
  #retry: Wanted[] = [];
  /** Frames that were not whole where they were read. */
  readonly #rescues: Wanted[] = [];
  #rescuers = 0;
  #nextRun = 0;
  #failure: unknown = null;
  #closing: { resolve: () => void; left: number } | null = null;

  constructor(options: {
    repository: SealedObjects;
    index: ChunkIndex;
    workers: number;
    onBytes?: (bytes: number) => void;
  }) {
    this.#repository = options.repository;
    this.#index = options.index;
    this.#onBytes = options.onBytes ?? (() => {});
    const bytesMin = options.workers * RUNS_PER_WORKER * RUN_BYTES_MAX;
    this.#window = new ReadWindow({ clock: options.repository.clock, bytesMin });
    for (let i = 0; i < options.workers; i++) this.#startWorker({ keys: options.repository.keys.material() });
  }

  #startWorker(workerData: ExtractWorkerData): void {
    const worker = new Worker(new URL('./extract-worker.ts', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: WORKER_NURSERY_MB },
    });
    const slot: WorkerSlot = { worker, outstanding: 0 };
    worker.on('message', (response: ExtractResponse) => this.#answer(slot, response));
    worker.on('error', (error) => this.#fail(errorOfWorker(error)));
    worker.on('exit', () => {
      if (this.#closing === null) {
        this.#fail(new HoldfastError('EXTRACT_WORKER_ENDED', 'a restore worker ended before its work was done'));
      }
    });
    this.#slots.push(slot);
  }

  /** Pack object ids in which a chunk failed authentication so far, in hexadecimal; for damage records. */
  get damagedPacks(): readonly string[] {
    return [...this.#damagedPacks];
  }

  /** Chunks that no pack could give so far. */
  get lostChunks(): readonly LostChunk[] {
    return [...this.#lost];
  }

  /** Adds one extent; may wait while earlier ones are extracted. Errors: `CHUNK_ABSENT` when no index names the chunk. */
  async addExtent(id: Buffer, destination: Destination): Promise<void> {
    this.#throwFailure();
    const key = id.toString('latin1');
    const known = this.#batch.get(key);
    if (known !== undefined) known.destinations.push(destination);
    else {
      const [location, ...others] = this.#index.lookup(id);
      if (location === undefined) throw chunkAbsent(id, destination.path);
      this.#batch.set(key, { id, location, others, destinations: [destination] });
    }
    this.#batchExtents += 1;
    if (this.#batchExtents >= BATCH_EXTENTS) await this.#extractFullBatch();
  }

  /** Extracts what is left and ends the workers. Errors: `CHUNK_DAMAGED`, or whatever the store or a worker threw. */
  async finish(): Promise<void> {
    await this.#extractBatch();
    await this.#until(() => this.#isQuiet);
    while (this.#retry.length > 0) {
      const again = this.#retry;
      this.#retry = [];
      await this.#extractAll(again);
      await this.#until(() => this.#isQuiet);
    }
    await new Promise<void>((resolve) => {
      this.#closing = { resolve, left: this.#slots.length };
      for (const slot of this.#slots) this.#ask(slot, { kind: 'close-files' });
    });
    this.#throwFailure();
    if (this.#lost.length > 0) throw chunksDamaged(this.#lost);
  }

  /** Ends the workers as soon as they have done what they were handed; for use after a failure. Safe to repeat. */
  async abandon(): Promise<void> {
    this.#closing ??= { resolve: () => {}, left: 0 };
    this.#failure ??= new HoldfastError('EXTRACT_ABANDONED', 'the restore was given up');
    this.#wake();
    await Promise.all(this.#slots.map((slot) => endThread(slot.worker)));
  }

  /** One batch after the other, also when several callers add at the same time: what waits is one batch. */
  async #extractFullBatch(): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (this.#batchExtents >= BATCH_EXTENTS) await this.#extractBatch();
    });
    // Whoever waits for this turn hears of its failure; the next one meets it by itself.
    this.#turn = turn.catch(() => {});
    await turn;
  }

  async #extractBatch(): Promise<void> {
    const batch = [...this.#batch.values()];
    this.#batch = new Map();
    this.#batchExtents = 0;
    const count = batch.length;
    await this.#extractAll(batch);
    this.#garbage.add(count * EXTENT_BYTES);
  }

  async #extractAll(wanted: Wanted[]): Promise<void> {
    wanted.sort((a, b) => a.location.packNumber - b.location.packNumber || a.location.offset - b.location.offset);
    let at = 0;
    while (at < wanted.length) {
      const end = runEnd(wanted, at, this.#window.isFar ? FAR_RUN_BYTES_MAX : RUN_BYTES_MAX);
      const run = wanted.slice(at, end);
      await this.#until(() => this.#window.hasRoom(lengthOf(run)));
      this.#begin(run);
      at = end;
    }
  }

  /** Reads one run for whichever worker is free then; errors end the pipeline. */
  #begin(wanted: Wanted[]): void {
    const run = this.#nextRun++;
    const { packId, offset } = wanted[0]!.location;
    const length = lengthOf(wanted);
    this.#runs.set(run, { wanted, bytes: length, slot: null });
    const begun = this.#window.take(length);
    this.#repository.store.getRange(packName(packId), offset, length).then(
      (bytes) => {
        this.#window.noteAnswer(begun);
        this.#ready.push({ run, bytes });
        this.#handOut();
      },
      (error) => this.#readFailed(run, error),
    );
  }

  #handOut(): void {
    while (this.#failure === null && this.#ready.length > 0) {
      const slot = this.#leastBusy();
      if (slot.outstanding >= RUNS_PER_WORKER) return;
      const { run, bytes } = this.#ready.shift()!;
      this.#handOver(slot, run, bytes);
    }
  }

  #handOver(slot: WorkerSlot, run: number, read: Buffer): void {
    const begun = this.#runs.get(run)!;
    begun.slot = slot;
    slot.outstanding += 1;
    const { wanted } = begun;
    // A pooled buffer shares its memory with others and must not be transferred.
    const bytes = read.buffer.byteLength === read.byteLength ? read : new Uint8Array(read);
    const { packId, epoch, content, offset } = wanted[0]!.location;
    // Of a view all of the memory below it is sent, which may be a whole node of a tree: identities are copied into memory of their own.
    const ids = new Uint8Array(wanted.length * ID_BYTES);
    const frames: ExtractFrame[] = wanted.map((item, i) => {
      ids.set(item.id, i * ID_BYTES);
      return {
        id: ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES),
        packOffset: item.location.offset,
        frameLength: item.location.frameLength,
        rawLength: item.location.rawLength,
        destinations: item.destinations,
      };
    });
    const request: ExtractRequest = {
      ...{ kind: 'run', run, epoch, content, start: offset, bytes, frames },
      packId: new Uint8Array(packId),
    };
    slot.worker.postMessage(request, [bytes.buffer as ArrayBuffer]);
  }

  /** Where there are several places, another one may have the frame whole: what is proved on this thread goes through the workers once more. */
  #lookInOtherPlaces(item: Wanted): void {
    if (this.#repository.store.readProved === undefined || item.isProved === true) {
      this.#lookElsewhere(item);
      return;
    }
    this.#rescues.push(item);
    if (this.#rescuers < RESCUERS_MAX) void this.#rescueAll();
  }

  async #rescueAll(): Promise<void> {
    this.#rescuers += 1;
    for (let item = this.#rescues.shift(); item !== undefined && this.#failure === null; item = this.#rescues.shift()) {
      try {
        const bytes = await this.#readFromSoundPlace(item);
        const run = this.#nextRun++;
        this.#runs.set(run, { wanted: [{ ...item, isProved: true }], bytes: bytes.length, slot: null });
        this.#window.take(bytes.length);
        this.#ready.push({ run, bytes });
        this.#handOut();
      } catch (error) {
        if (isAbsent(error) || isDamageOfOnePlace(error)) this.#lookElsewhere(item);
        else this.#fail(error);
      }
    }
    this.#rescuers -= 1;
    this.#wake();
  }

  #readFromSoundPlace({ id, location }: Wanted): Promise<Buffer> {
    const { packId, offset, frameLength, rawLength, content, epoch } = location;
    const opener = new PackOpener({ keys: this.#repository.keys, packId, content, epoch });
    return readProved(this.#repository.store, opener.name, async (from) => {
      const frame = await from.getRange(opener.name, offset, frameLength);
      opener.openChunkFrame({ id, offset, rawLength }, frame);
      return frame;
    });
  }

  get #isQuiet(): boolean {
    return this.#runs.size === 0 && this.#rescuers === 0;
  }

  /** A pack that is gone or too short is as good as damaged: its chunks are looked for elsewhere. */
  #readFailed(run: number, error: unknown): void {
    const code = error instanceof HoldfastError ? error.code : undefined;
    if (code !== 'OBJECT_ABSENT' && code !== 'OBJECT_TRUNCATED') {
      this.#fail(error);
      return;
    }
    const { wanted, bytes } = this.#runs.get(run)!;
    this.#runs.delete(run);
    this.#window.give(bytes);
    for (const item of wanted) this.#lookInOtherPlaces(item);
    this.#wake();
  }

  #answer(slot: WorkerSlot, response: ExtractResponse): void {
    if (response.kind === 'closed') {
      if (this.#closing !== null && --this.#closing.left === 0) this.#closing.resolve();
      return;
    }
    const run = this.#runs.get(response.run);
    if (run === undefined) return;
    this.#runs.delete(response.run);
    this.#window.give(run.bytes);
    slot.outstanding -= 1;
    this.#handOut();
    for (const index of response.damaged) this.#lookInOtherPlaces(run.wanted[index]!);
    this.#onBytes(response.bytes);
    this.#wake();
  }

  #lookElsewhere(item: Wanted): void {
    this.#damagedPacks.add(item.location.packId.toString('hex'));
    const [location, ...others] = item.others;
    if (location !== undefined) {
      this.#retry.push({ ...item, location, others });
      return;
    }
    const packs = this.#index.lookup(item.id).map((place) => place.packId.toString('hex'));
    const files = [...new Set(item.destinations.map(({ path }) => path))];
    this.#lost.push({ id: item.id.toString('hex'), packs, files });
  }

  #leastBusy(): WorkerSlot {
    return this.#slots.reduce((least, next) => (next.outstanding < least.outstanding ? next : least));
  }

  #ask(slot: WorkerSlot, request: ExtractRequest): void {
    slot.worker.postMessage(request);
  }

  async #until(condition: () => boolean): Promise<void> {
    for (;;) {
      this.#throwFailure();
      if (condition()) return;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#closing?.resolve();
    this.#wake();
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}

/** Stored bytes from the first frame of a run to the end of its last. */
function lengthOf(wanted: readonly Wanted[]): number {
  const last = wanted[wanted.length - 1]!.location;
  return last.offset + last.frameLength - wanted[0]!.location.offset;
}

/** The end (exclusive) of the run that begins at `at`: frames of one pack, close together, at most `bytesMax` long. */
function runEnd(wanted: readonly Wanted[], at: number, bytesMax: number): number {
  const first = wanted[at]!.location;
  let end = at + 1;
  let reach = first.offset + first.frameLength;
  while (end < wanted.length) {
    const next = wanted[end]!.location;
    if (next.packNumber !== first.packNumber) break;
    if (next.offset - reach > RUN_GAP_BYTES_MAX) break;
    if (next.offset + next.frameLength - first.offset > bytesMax) break;
    reach = next.offset + next.frameLength;
    end += 1;
  }
  return end;
}

function chunkAbsent(id: Buffer, path: string): HoldfastError {
  return new HoldfastError('CHUNK_ABSENT', `cannot find chunk "${id.toString('hex').slice(0, 16)}" of file "${path}"`, {
    detail: 'Expected an index object that names a whole pack with this chunk, found none.',
    hints: ['Run "holdfast verify --all" to see which snapshots are whole.'],
  });
}

function chunksDamaged(lost: readonly LostChunk[]): HoldfastError {
  const files = [...new Set(lost.flatMap((chunk) => chunk.files))];
  const packs = [...new Set(lost.flatMap((chunk) => chunk.packs))];
  const shown = files.slice(0, 5).map((file) => `"${file}"`);
  const more = files.length > shown.length ? ` and ${files.length - shown.length} more` : '';
  return new HoldfastError(
    'CHUNK_DAMAGED',
    `cannot restore ${lost.length} damaged chunk(s) of ${shown.join(', ')}${more}`,
    {
      detail: `Expected authentic bytes in ${packs.map((pack) => `"packs/${pack}"`).join(', ')}, found bytes that are altered, missing or cut off.`,
      hints: [
        'Run "holdfast verify" to record the damage; the next backup then stores these chunks again.',
        'Restore from an older snapshot that does not need these packs.',
      ],
    },
  );
}
