import { Worker } from 'node:worker_threads';
import { errorOfWorker, GarbageGauge, HoldfastError } from '../../../lib/index.ts';
import {
  type IngestPipeline,
  type IngestSlab,
  type RateLimit,
  SLAB_BYTES,
  SLAB_PIECES_MAX,
} from '../../../repository/index.ts';
import { relationFileOf } from '../relation-file.ts';
import { BYTES_PER_STEP, STEPS_GARBAGE } from './garbage.ts';
import type { FileToRead, FilledSlab, ReadRequest, ReadResponse, ReadWorkerData } from './read-messages.ts';

/** A reader fills one slab while the other is looked at and handed over. */
const SLABS_PER_READER = 2;
/** Files that a reader has before it at most: few, so that none is left with all the large ones at the end. */
const FILES_AHEAD = 16;
/** What a reader keeps for long is little. */
const READER_NURSERY_MB = 2;

/** A file by its path in the snapshot's tree and on the disk. */
export interface NumberedFile extends FileToRead {
  readonly path: string;
}

export interface ReadersOptions {
  readonly pipeline: IngestPipeline;
  readonly readers: number;
  /** See `ReadWorkerData`. */
  readonly checkedBefore: bigint;
  readonly blocksPerSegment: number;
  /** A position up to which the server's WAL is known to be durable; asked for each slab. */
  readonly flushedLsn: () => bigint;
  /** Bytes in a second; null for as fast as it goes. */
  readonly rate: RateLimit | null;
  readonly signal?: AbortSignal | undefined;
}

/** Takes what a reader has done, before the slab goes on to the workers; the steps of one file come in order, to one call after the other. */
export type TakeFilled = (
  filled: FilledSlab,
  slab: IngestSlab,
  files: ReadonlyMap<number, NumberedFile>,
) => Promise<void>;

/**
 * Reads files on threads of their own into slabs of the pipeline.
 *
 *   files ─▶ reader: open, read, check ─▶ filled slab ─▶ `take` declares the pieces ─▶ pipeline
 *
 * Errors: what a reader meets (BACKUP_DIRECT_READ_FAILED, BACKUP_DIRECT_CLOSED) or `take` throws ends it all. Disposing ends the threads at once.
 */
export class FileReaders implements AsyncDisposable {
  readonly #options: ReadersOptions;
  readonly #threads: Worker[] = [];

  constructor(options: ReadersOptions) {
    this.#options = options;
    const workerData: ReadWorkerData = {
      memory: options.pipeline.memory,
      slabBytes: SLAB_BYTES,
      piecesMax: SLAB_PIECES_MAX,
      checkedBefore: options.checkedBefore,
      blocksPerSegment: options.blocksPerSegment,
    };
    for (let reader = 0; reader < options.readers; reader++) {
      const resourceLimits = { maxYoungGenerationSizeMb: READER_NURSERY_MB };
      this.#threads.push(new Worker(new URL('./read-worker.ts', import.meta.url), { workerData, resourceLimits }));
    }
  }

  /** Reads every file; done when all slabs were handed to the pipeline. Once only. */
  async readAll(files: AsyncIterable<{ path: string; from: string }>, take: TakeFilled): Promise<void> {
    const source = new FileSource(files);
    try {
      await Promise.all(this.#threads.map((thread) => new ReaderDrive(thread, source, this.#options).run(take)));
    } finally {
      await source.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }
}

/** Gives files to several readers, each one once. */
class FileSource {
  readonly #files: AsyncIterator<{ path: string; from: string }>;
  #turn: Promise<unknown> = Promise.resolve();
  #count = 0;

  constructor(files: AsyncIterable<{ path: string; from: string }>) {
    this.#files = files[Symbol.asyncIterator]();
  }

  /** The next files, fewer than asked for only at the end. */
  take(count: number): Promise<NumberedFile[]> {
    const taken = this.#turn.then(() => this.#take(count));
    // Whoever took them sees the error; the next in the queue only waits.
    this.#turn = taken.catch(() => {});
    return taken;
  }

  /** Ends the listing, which may be in the middle of a directory. */
  async close(): Promise<void> {
    await this.#turn;
    await this.#files.return?.();
  }

  async #take(count: number): Promise<NumberedFile[]> {
    const files: NumberedFile[] = [];
    while (files.length < count) {
      const next = await this.#files.next();
      if (next.done === true) break;
      const { path, from } = next.value;
      files.push({ path, from, number: this.#count++, segment: relationFileOf(path)?.segment ?? null });
    }
    return files;
  }
}

/** The conversation with one reader. */
class ReaderDrive {
  readonly #thread: Worker;
  readonly #source: FileSource;
  readonly #options: ReadersOptions;
  readonly #files = new Map<number, NumberedFile>();
  readonly #slabs = new Map<number, IngestSlab>();
  readonly #garbage = new GarbageGauge(STEPS_GARBAGE);
  readonly #ended = Promise.withResolvers<void>();
  /** Answers are worked off one after the other. */
  #working: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(thread: Worker, source: FileSource, options: ReadersOptions) {
    this.#thread = thread;
    this.#source = source;
    this.#options = options;
  }

  async run(take: TakeFilled): Promise<void> {
    this.#thread.on('error', (error) => this.#ended.reject(errorOfWorker(error)));
    this.#thread.on('exit', () => this.#ended.reject(readerEnded()));
    this.#thread.on('message', (response: ReadResponse) => {
      this.#working = this.#working.then(() => this.#answer(response, take));
      this.#track(this.#working);
    });
    this.#track(this.#giveFiles(FILES_AHEAD));
    for (let slab = 0; slab < SLABS_PER_READER; slab++) this.#track(this.#giveSlab(0));
    await this.#ended.promise;
  }

  async #answer(response: ReadResponse, take: TakeFilled): Promise<void> {
    if (this.#isOver) return;
    if (response.kind === 'begun') return this.#giveFiles(response.files);
    if (response.kind === 'ended') return this.#end();
    this.#options.signal?.throwIfAborted();
    const slab = this.#slabs.get(response.slab)!;
    await take(response, slab, this.#files);
    this.#slabs.delete(response.slab);
    this.#options.pipeline.submit(slab);
    for (const step of response.steps) {
      const isOver = step.kind === 'vanished' || (step.kind === 'piece' ? step.last : step.size === 0);
      if (isOver) this.#files.delete(step.file);
    }
    this.#garbage.add(response.steps.length * BYTES_PER_STEP);
    // Nobody waits for it here: the reader has another one to fill meanwhile.
    this.#track(this.#giveSlab(response.bytes));
  }

  async #giveFiles(count: number): Promise<void> {
    const files = await this.#source.take(count);
    for (const file of files) this.#files.set(file.number, file);
    if (files.length > 0)
      this.#ask({ kind: 'files', files: files.map(({ number, from, segment }) => ({ number, from, segment })) });
    if (files.length < count) this.#ask({ kind: 'end' });
  }

  /** `paid`: bytes that the rate has to be asked for first. */
  async #giveSlab(paid: number): Promise<void> {
    const { pipeline, rate, signal, flushedLsn } = this.#options;
    if (rate !== null && paid > 0) await rate.take(paid, signal);
    const slab = await pipeline.acquireSlab();
    if (this.#isOver) {
      pipeline.submit(slab);
      return;
    }
    const { number, bytesAt } = slab.view;
    this.#slabs.set(number, slab);
    this.#ask({ kind: 'slab', slab: number, at: bytesAt, flushedLsn: flushedLsn() });
  }

  /** What it was given and did not fill goes back. */
  #end(): void {
    this.#isOver = true;
    for (const slab of this.#slabs.values()) this.#options.pipeline.submit(slab);
    this.#slabs.clear();
    this.#ended.resolve();
  }

  #ask(request: ReadRequest): void {
    this.#thread.postMessage(request);
  }

  #track(work: Promise<void>): void {
    work.catch((error) => this.#ended.reject(error));
  }
}

function readerEnded(): HoldfastError {
  return new HoldfastError('BACKUP_DIRECT_READER_ENDED', 'a reader of the backup ended before its work was done', {
    hints: ['Take the backup again.'],
  });
}
