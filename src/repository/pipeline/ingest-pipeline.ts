import { Worker } from 'node:worker_threads';
import { assert, errorOfWorker, HoldfastError } from '../../lib/index.ts';
import type { ChunkIndex } from '../index/index.ts';
import type { FinishedPack } from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import type { IngestRequest, IngestResponse, IngestWorkerData } from './ingest-messages.ts';
import type { PackDepot } from './pack-depot.ts';
import { allocateSlabMemory, SlabView } from './slab.ts';

/** Slabs for each worker: one being stored, one being hashed, one waiting, and two being filled, so that nobody waits for another. */
const SLABS_PER_WORKER = 5;
/** Young objects die at once here; a small nursery keeps a worker near 30 MB without slowing it. */
const WORKER_NURSERY_MB = 8;

/** What the producer is told of each piece once it was hashed. `fingerprints` is null for a piece that was not flagged. */
export type PieceHashed = (id: Buffer, fingerprints: Buffer | null) => void;

/** One slab in the producer's hands. */
export class IngestSlab {
  readonly view: SlabView;
  readonly callbacks: PieceHashed[] = [];

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
}

/** What a finished pipeline says. Bytes are raw; `storedBytes` counts packs as they lie in the store. */
export interface IngestResult {
  newChunks: number;
  newBytes: number;
  storedBytes: number;
}

interface WorkerSlot {
  worker: Worker;
  outstanding: number;
}

/**
 * Turns slabs of raw bytes into chunks in packs, on one worker thread per core.
 *
 *   producer ── acquireSlab ─▶ fills it ── submit ─▶ worker: hash ─▶ main: known? ─▶ worker: compress, seal, append ─▶ slab is free again
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
  readonly #free: SlabView[] = [];
  readonly #submitted = new Map<number, IngestSlab>();
  readonly #owner = new Map<number, WorkerSlot>();
  readonly #inFlight = new Set<string>();
  readonly #waiters: (() => void)[] = [];
  readonly #slabCount: number;
  readonly #result: IngestResult = { newChunks: 0, newBytes: 0, storedBytes: 0 };
  #finishing: { resolve: () => void; left: number } | null = null;
  #sealing: Promise<IngestResult> | null = null;
  #failure: unknown = null;

  private constructor(options: { index: ChunkIndex; depot: PackDepot; slabCount: number }) {
    this.#index = options.index;
    this.#depot = options.depot;
    this.#slabCount = options.slabCount;
  }

  /** Starts `workers` threads that write packs for `repository`; `level` is zstd's. */
  static async open(options: {
    repository: SealedObjects;
    index: ChunkIndex;
    depot: PackDepot;
    workers: number;
    level: number;
  }): Promise<IngestPipeline> {
    const slabCount = options.workers * SLABS_PER_WORKER;
    const pipeline = new IngestPipeline({ index: options.index, depot: options.depot, slabCount });
    const memory = allocateSlabMemory(slabCount);
    for (let number = 0; number < slabCount; number++) pipeline.#free.push(new SlabView(memory, number));
    const spoolDirectory = await options.repository.store.spoolDirectory();
    for (let worker = 0; worker < options.workers; worker++) {
      pipeline.#startWorker({
        memory,
        slabs: slabCount,
        keys: options.repository.keys.material(),
        level: options.level,
        spoolDirectory,
      });
    }
    return pipeline;
  }

  #startWorker(data: IngestWorkerData): void {
    const worker = new Worker(new URL('./ingest-worker.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: WORKER_NURSERY_MB },
    });
    const slot: WorkerSlot = { worker, outstanding: 0 };
    worker.on('message', (response: IngestResponse) => this.#answer(slot, response));
    worker.on('error', (error) => this.#fail(errorOfWorker(error)));
    worker.on('exit', () => {
      if (this.#finishing === null) {
        this.#fail(new HoldfastError('INGEST_WORKER_ENDED', 'a backup worker ended before its work was done'));
      }
    });
    this.#slots.push(slot);
  }

  /** An empty slab if one is free at once, else null. */
  tryAcquireSlab(): IngestSlab | null {
    this.#throwFailure();
    if (!this.#depot.hasRoom) return null;
    const view = this.#free.pop();
    return view === undefined ? null : new IngestSlab(view);
  }

  /** An empty slab, as soon as one is free. */
  async acquireSlab(): Promise<IngestSlab> {
    for (;;) {
      const slab = this.tryAcquireSlab();
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
    const slot = this.#slots.reduce((least, next) => (next.outstanding < least.outstanding ? next : least));
    slot.outstanding += 1;
    this.#submitted.set(slab.view.number, slab);
    this.#owner.set(slab.view.number, slot);
    this.#ask(slot, { kind: 'hash', slab: slab.view.number, pieces: slab.view.count });
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
    this.#finishing ??= { resolve: () => {}, left: 0 };
    this.#failure ??= new HoldfastError('INGEST_ABANDONED', 'the backup was given up');
    this.#wake();
    await Promise.all(this.#slots.map((slot) => slot.worker.terminate()));
  }

  #answer(slot: WorkerSlot, response: IngestResponse): void {
    if (this.#failure !== null) return;
    switch (response.kind) {
      case 'hashed':
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

  /** Asks the index about each piece of a hashed slab and sends back those that have to be stored. */
  #decide(slot: WorkerSlot, number: number): void {
    const slab = this.#submitted.get(number)!;
    const view = slab.view;
    let needed = 0;
    for (let piece = 0; piece < view.count; piece++) {
      const id = Buffer.from(view.pieceId(piece));
      const isNew = this.#isNew(id);
      view.setNeeded(piece, isNew);
      if (isNew) needed += 1;
      slab.callbacks[piece]!(id, view.isFingerprinted(piece) ? Buffer.from(view.pieceFingerprints(piece)) : null);
    }
    if (needed === 0) this.#complete(slot, number);
    else this.#ask(slot, { kind: 'store', slab: number, pieces: view.count });
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
    const slab = this.#submitted.get(number)!;
    this.#submitted.delete(number);
    slot.outstanding -= 1;
    this.#release(slab.view);
  }

  #release(view: SlabView): void {
    this.#free.push(view);
    this.#wake();
  }

  #ask(slot: WorkerSlot, request: IngestRequest): void {
    slot.worker.postMessage(request);
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
