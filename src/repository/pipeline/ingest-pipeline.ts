import { assert, HoldfastError } from '../../lib/index.ts';
import type { ChunkIndex } from '../index/index.ts';
import type { FinishedPack } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import type { IngestRequest, IngestResponse } from './ingest-messages.ts';
import type { PackDepot } from './pack-depot.ts';
import { allocateSlabMemory, SlabView } from './slab.ts';
import { type SlabWorker, type SlabWorkerEvents, startThread, workHere } from './slab-worker.ts';

/** Slabs that are kept for reserved requests. */
const SLABS_RESERVED = 1;
/** Slabs for each worker: one being stored, one being examined, one waiting, and two being filled, so that nobody waits for another. */
const SLABS_PER_WORKER = 5;
/**
 * Where threads are started when they are needed: the first one with so many slabs, the others with so many. A thread costs 70 to 100 ms of computing
 * before it does anything, a slab 1 to 6 ms: what most increments bring is done by then.
 */
const FIRST_THREAD_AT = 16;
const ALL_THREADS_AT = 64;

/** What the producer is told of each piece once it was hashed. `fingerprints` is null for a piece that was not flagged. */
export type PieceHashed = (id: Buffer, fingerprints: Buffer | null) => void;

/** Of a piece that has some pages which the older version has not. Its views are good until the promise of `changed` is settled. */
export interface ChangedPiece {
  readonly bytes: Buffer;
  /** A byte for each page, 1 where it differs. */
  readonly changes: Uint8Array;
  /** 8 bytes for each page. */
  readonly fingerprints: Buffer;
}

/** Who is told what became of a piece that was held against an older version; one of the three is called, once. */
export interface ComparedAnswer {
  /** It is the same: nothing of it is stored. */
  unchanged(): void;
  /** At most half of its pages differ: what of it is stored is the producer's to say. The slab is held until a promise is settled. */
  changed(piece: ChangedPiece): void | Promise<void>;
  /** Too much of it differs; it was taken in as a chunk. */
  hashed: PieceHashed;
}

/** One slab in the producer's hands. */
export class IngestSlab {
  readonly view: SlabView;
  readonly callbacks: (PieceHashed | ComparedAnswer)[] = [];
  /** What has to be over before the slab is free, beside the work of its worker. */
  held: Promise<void> | null = null;

  constructor(view: SlabView) {
    this.view = view;
    view.reset();
  }

  get bytes(): Buffer {
    return this.view.bytes;
  }

  /** Declares `length` bytes at `offset` to be one chunk; `hashed` is called once, in no particular order among pieces. */
  addPiece(offset: number, length: number, fingerprinted: boolean, hashed: PieceHashed): void {
    this.view.addPiece(offset, length, fingerprinted);
    this.callbacks.push(hashed);
  }

  /**
   * Declares pages that are held against an older version of the same pages, of which `fingerprints` has 8 bytes each (those of pages behind its
   * end count as changed). Not `patchable`: when any of them differs, all are one chunk.
   */
  addComparedPiece(
    offset: number,
    length: number,
    previous: { fingerprints: Uint8Array; patchable: boolean },
    answer: ComparedAnswer,
  ): void {
    this.view.addComparedPiece(offset, length, previous.fingerprints, previous.patchable);
    this.callbacks.push(answer);
  }
}

/** What a finished pipeline says. Bytes are raw; `storedBytes` counts packs as they lie in the store. */
export interface IngestResult {
  newChunks: number;
  newBytes: number;
  storedBytes: number;
}

/** How a slab is asked for. */
export interface SlabRequest {
  /**
   * For whoever empties held slabs into others (`ComparedAnswer.changed`): one slab is kept free for it, since without one the held slabs would
   * wait for it, and it for them.
   */
  reserved?: boolean;
}

/** When threads are started: before there is anything to do, or once there is enough for them. */
export type ThreadStart = 'at-once' | 'when-needed';

interface WorkerSlot {
  readonly worker: SlabWorker;
  outstanding: number;
}

/**
 * Turns slabs of raw bytes into chunks in packs, on one worker thread per core; in the main thread while there are few, where that was asked for.
 *
 *   producer ── acquireSlab ─▶ fills it ── submit ─▶ worker: hash ─▶ main: known? ─▶ worker: compress, seal, append ─▶ slab is free again
 *
 * A piece of which an older version is known is fingerprinted first, and hashed only when most of it differs.
 *
 * Memory is bounded by the slabs; a producer that is faster than the workers waits in `acquireSlab`. A chunk becomes known to the index
 * only when its pack is durable; until then `#inFlight` keeps it from being stored twice.
 *
 * Errors: whatever the store or a worker throws ends the pipeline; every later call throws the same error. `abandon` leaves nothing but
 * unreferenced packs, which are known to the next backup if their index was written.
 */
export class IngestPipeline {
  readonly #index: ChunkIndex;
  readonly #depot: PackDepot;
  readonly #slots: WorkerSlot[] = [];
  /** The main thread's own, where threads are started when they are needed. */
  #here: WorkerSlot | null = null;
  /** Threads that were not needed yet, and slabs since then. */
  readonly #unstarted: ((events: SlabWorkerEvents) => SlabWorker)[] = [];
  #slabsUntilNow = 0;
  readonly #free: SlabView[] = [];
  readonly #submitted = new Map<number, IngestSlab>();
  readonly #inFlight = new Set<string>();
  readonly #waiters: (() => void)[] = [];
  readonly memory: WebAssembly.Memory;
  readonly #slabCount: number;
  readonly #result: IngestResult = { newChunks: 0, newBytes: 0, storedBytes: 0 };
  #finishing: { resolve: () => void; left: number } | null = null;
  #sealing: Promise<IngestResult> | null = null;
  #failure: unknown = null;

  private constructor(options: {
    index: ChunkIndex;
    depot: PackDepot;
    slabCount: number;
    memory: WebAssembly.Memory;
  }) {
    this.memory = options.memory;
    this.#index = options.index;
    this.#depot = options.depot;
    this.#slabCount = options.slabCount;
  }

  /** Has up to `workers` threads write packs for `repository`; `level` is zstd's. */
  static async open(options: {
    repository: SealedObjects;
    index: ChunkIndex;
    depot: PackDepot;
    workers: number;
    level: number;
    /** Whether the threads give way to all other programs; left out, they do not. */
    lowPriority?: boolean;
    /** At once, unless said otherwise. */
    threads?: ThreadStart;
  }): Promise<IngestPipeline> {
    const slabCount = options.workers * SLABS_PER_WORKER;
    const memory = allocateSlabMemory(slabCount);
    const pipeline = new IngestPipeline({ index: options.index, depot: options.depot, slabCount, memory });
    for (let number = 0; number < slabCount; number++) pipeline.#free.push(new SlabView(memory, number));
    const spoolDirectory = await options.repository.store.spoolDirectory();
    const { keys } = options.repository;
    const { level, lowPriority = false } = options;
    const parts = { memory, slabs: slabCount, level, spoolDirectory };
    for (let worker = 0; worker < options.workers; worker++) {
      pipeline.#unstarted.push((events) => startThread({ ...parts, keys: keys.material(), lowPriority }, events));
    }
    if (options.threads !== 'when-needed') pipeline.#startThreads(options.workers);
    else pipeline.#here = pipeline.#begin((events) => workHere({ ...parts, keys }, events));
    return pipeline;
  }

  #startThreads(count: number): void {
    for (const start of this.#unstarted.splice(0, count)) this.#begin(start);
  }

  #begin(start: (events: SlabWorkerEvents) => SlabWorker): WorkerSlot {
    const worker = start({
      answered: (response) => {
        try {
          this.#answer(slot, response);
        } catch (error) {
          // A producer's callback, or the index, which reads a file: thrown from here it would end the whole program.
          this.#fail(error);
        }
      },
      failed: (error) => this.#fail(error),
    });
    const slot: WorkerSlot = { worker, outstanding: 0 };
    this.#slots.push(slot);
    return slot;
  }

  /** An empty slab if one is free at once, else null. */
  tryAcquireSlab(request: SlabRequest = {}): IngestSlab | null {
    this.#throwFailure();
    if (!this.#depot.hasRoom) return null;
    if (!request.reserved && this.#free.length <= SLABS_RESERVED) return null;
    const view = this.#free.pop();
    return view === undefined ? null : new IngestSlab(view);
  }

  /** An empty slab, as soon as one is free. */
  async acquireSlab(request: SlabRequest = {}): Promise<IngestSlab> {
    for (;;) {
      const slab = this.tryAcquireSlab(request);
      if (slab !== null) return slab;
      await this.#changed();
    }
  }

  /** Hands a filled slab over. The producer must not touch it again. */
  submit(slab: IngestSlab): void {
    this.#throwFailure();
    if (slab.view.count === 0) {
      this.#release(slab.view);
      return;
    }
    this.#startThreadsInNeed();
    const slot = this.#leastBusy();
    slot.outstanding += 1;
    this.#submitted.set(slab.view.number, slab);
    this.#ask(slot, { kind: 'examine', slab: slab.view.number, pieces: slab.view.count });
  }

  #startThreadsInNeed(): void {
    if (this.#unstarted.length === 0) return;
    this.#slabsUntilNow += 1;
    if (this.#slabsUntilNow >= ALL_THREADS_AT) this.#startThreads(this.#unstarted.length);
    else if (this.#slabsUntilNow === FIRST_THREAD_AT) this.#startThreads(1);
  }

  /** The main thread works on slabs only until a thread runs: then it has other things to do. */
  #leastBusy(): WorkerSlot {
    const here = this.#here;
    if (here === null) return leastBusyOf(this.#slots);
    const threads = this.#slots.filter((slot) => slot !== here && slot.worker.isReady);
    return threads.length === 0 ? here : leastBusyOf(threads);
  }

  /** Waits until every piece that was submitted is answered, and its slab free again. */
  async settle(): Promise<void> {
    while (this.#submitted.size > 0) {
      this.#throwFailure();
      await this.#changed();
    }
    this.#throwFailure();
  }

  /** Waits until every new chunk lies in a pack that is whole and on its way to the store; takes nothing more. Safe to repeat. */
  seal(): Promise<IngestResult> {
    this.#sealing ??= this.#seal();
    return this.#sealing;
  }

  async #seal(): Promise<IngestResult> {
    while (this.#free.length < this.#slabCount) {
      this.#throwFailure();
      await this.#changed();
    }
    this.#throwFailure();
    await new Promise<void>((resolve) => {
      this.#finishing = { resolve, left: this.#slots.length };
      for (const slot of this.#slots) this.#ask(slot, { kind: 'finish' });
    });
    this.#throwFailure();
    return this.#result;
  }

  /** Seals, and waits until every new chunk is durable in a pack that the index knows. */
  async finish(): Promise<IngestResult> {
    const result = await this.seal();
    await this.#depot.drain();
    this.#throwFailure();
    assert(this.#inFlight.size === 0, 'every new chunk reached a durable pack');
    return result;
  }

  /** Stops the workers at once; for use after a failure. Safe to repeat. */
  async abandon(): Promise<void> {
    this.#fail(new HoldfastError('INGEST_ABANDONED', 'the backup was given up'));
    await Promise.all(this.#slots.map((slot) => slot.worker.end()));
  }

  #answer(slot: WorkerSlot, response: IngestResponse): void {
    if (this.#failure !== null) return;
    switch (response.kind) {
      case 'examined':
        this.#decide(slot, response.slab);
        break;
      case 'stored':
        this.#result.newChunks += response.newChunks;
        this.#result.newBytes += response.newBytes;
        this.#complete(slot, response.slab);
        break;
      case 'packed':
        this.#keepPack(response.pack);
        break;
      case 'finished':
        if (this.#finishing !== null && --this.#finishing.left === 0) this.#finishing.resolve();
    }
  }

  /** Answers each piece of an examined slab, asks the index about those that were hashed, and sends back what has to be stored. */
  #decide(slot: WorkerSlot, number: number): void {
    const slab = this.#submitted.get(number)!;
    const view = slab.view;
    let needed = 0;
    for (let piece = 0; piece < view.count; piece++) {
      const isNew = this.#answerPiece(slab, piece);
      view.setNeeded(piece, isNew);
      if (isNew) needed += 1;
    }
    if (needed === 0) this.#complete(slot, number);
    else this.#ask(slot, { kind: 'store', slab: number, pieces: view.count });
  }

  /** Tells the producer of a piece; gives whether it has to be stored. */
  #answerPiece(slab: IngestSlab, piece: number): boolean {
    const { view } = slab;
    const callback = slab.callbacks[piece]!;
    const outcome = view.outcomeOf(piece);
    if (typeof callback === 'object' && outcome !== 'hashed') {
      if (outcome === 'unchanged') callback.unchanged();
      else this.#hold(slab, callback.changed(changedPieceOf(view, piece)));
      return false;
    }
    const id = Buffer.from(view.pieceId(piece));
    const isNew = this.#isNew(id);
    const hashed = typeof callback === 'object' ? callback.hashed : callback;
    hashed(id, view.isFingerprinted(piece) ? Buffer.from(view.pieceFingerprints(piece)) : null);
    return isNew;
  }

  #hold(slab: IngestSlab, work: void | Promise<void>): void {
    if (work === undefined) return;
    const before = slab.held;
    slab.held = before === null ? work : Promise.all([before, work]).then(() => {});
    // Whoever waits for the slab sees it fail; it may fail before anybody waits.
    slab.held.catch(() => {});
  }

  #isNew(id: Buffer): boolean {
    if (this.#index.has(id)) return false;
    const key = id.toString('latin1');
    if (this.#inFlight.has(key)) return false;
    this.#inFlight.add(key);
    return true;
  }

  #keepPack(sent: FinishedPack): void {
    // What a worker sends arrives as plain byte arrays.
    const pack = { ...sent, packId: Buffer.from(sent.packId), entries: Buffer.from(sent.entries) };
    this.#result.storedBytes += pack.size;
    this.#depot
      .keep(pack, (id) => this.#inFlight.delete(id.toString('latin1')))
      .then(
        () => this.#wake(),
        (error) => this.#fail(error),
      );
  }

  #complete(slot: WorkerSlot, number: number): void {
    slot.outstanding -= 1;
    const slab = this.#submitted.get(number)!;
    const free = () => {
      this.#submitted.delete(number);
      this.#release(slab.view);
    };
    if (slab.held === null) free();
    else slab.held.then(free, (error) => this.#fail(error));
  }

  #release(view: SlabView): void {
    this.#free.push(view);
    this.#wake();
  }

  #ask(slot: WorkerSlot, request: IngestRequest): void {
    slot.worker.ask(request);
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#finishing?.resolve();
    this.#wake();
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}

function leastBusyOf(slots: readonly WorkerSlot[]): WorkerSlot {
  return slots.reduce((least, next) => (next.outstanding < least.outstanding ? next : least));
}

function changedPieceOf(view: SlabView, piece: number): ChangedPiece {
  return {
    bytes: view.pieceBytes(piece),
    changes: view.pieceChanges(piece),
    fingerprints: view.pieceFingerprints(piece),
  };
}
