import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { endThread, errorOfWorker, HoldfastError } from '../../lib/index.ts';
import {
  type IndexedPack,
  type KeyRing,
  PACK_ENTRY_BYTES,
  type PackEntry,
  PackOpener,
  type Repository,
} from '../../repository/index.ts';
import { findBadFrames, whyBad } from './find-bad-frames.ts';
import type { FrameRequest, FrameResponse, FrameWorkerData } from './frame-messages.ts';

/** Below this, starting threads costs more than they save. */
const inlineBytesMax = 32 << 20;
/** Young objects die at once here; a small nursery keeps a worker small without slowing it. */
const workerNurseryMb = 8;

/**
 * Checks frames of packs: on this thread while there is little to do, on one worker for each core beyond that.
 *
 * Memory: the runs that its callers have under way. `close` ends the workers.
 */
export class FrameChecker implements Disposable {
  readonly #keys: KeyRing;
  readonly #isLarge: boolean;
  readonly #workers: { worker: Worker; outstanding: number }[] = [];
  readonly #waiting = new Map<number, PromiseWithResolvers<readonly number[]>>();
  #next = 0;
  #failure: unknown = null;

  /** `expectedBytes`: about how much will come. */
  constructor(repository: Repository, expectedBytes: number) {
    this.#keys = repository.keys;
    this.#isLarge = expectedBytes > inlineBytesMax;
  }

  /** The frames of a run that cannot be used, by their place in it. */
  async check(pack: IndexedPack, run: readonly PackEntry[], stored: Buffer): Promise<readonly number[]> {
    const { packId, content, epoch } = pack;
    const offset = run[0]!.offset;
    const entries = Buffer.alloc(run.length * PACK_ENTRY_BYTES);
    for (const [i, entry] of run.entries()) {
      entries.set(entry.id, i * PACK_ENTRY_BYTES);
      entries.writeUInt32LE(entry.frameLength, i * PACK_ENTRY_BYTES + 32);
      entries.writeUInt32LE(entry.rawLength, i * PACK_ENTRY_BYTES + 36);
    }
    const request = { packId: Uint8Array.from(packId), content, epoch, offset, entries };
    if (!this.#isLarge) return findBadFrames(this.#keys, { ...request, stored });
    return this.#ask({ ...request, id: this.#next++, stored: Uint8Array.from(stored) });
  }

  /** Errors: `CHUNK_DAMAGED`. */
  assertSound(pack: IndexedPack, entry: PackEntry, frame: Buffer): void {
    const error = whyBad(this.#keys, new PackOpener({ keys: this.#keys, ...pack }), entry, frame);
    if (error !== null) throw error;
  }

  [Symbol.dispose](): void {
    this.#failure ??= new HoldfastError('VERIFY_ABANDONED', 'the verification was given up');
    for (const { worker } of this.#workers) void endThread(worker);
  }

  #ask(request: FrameRequest): Promise<readonly number[]> {
    if (this.#failure !== null) throw this.#failure;
    if (this.#workers.length < availableParallelism()) this.#startWorker();
    const least = this.#workers.reduce((best, next) => (next.outstanding < best.outstanding ? next : best));
    least.outstanding += 1;
    const answer = Promise.withResolvers<readonly number[]>();
    this.#waiting.set(request.id, answer);
    least.worker.postMessage(request, [request.stored.buffer as ArrayBuffer]);
    return answer.promise.finally(() => {
      least.outstanding -= 1;
    });
  }

  #startWorker(): void {
    const data: FrameWorkerData = { keys: this.#keys.material() };
    const worker = new Worker(new URL('./frame-worker.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: workerNurseryMb },
    });
    worker.on('message', ({ id, bad }: FrameResponse) => {
      this.#waiting.get(id)?.resolve(bad);
      this.#waiting.delete(id);
    });
    worker.on('error', (error) => this.#fail(errorOfWorker(error)));
    worker.on('exit', () => {
      if (this.#failure === null) {
        this.#fail(new HoldfastError('VERIFY_WORKER_ENDED', 'a verification worker ended before its work was done'));
      }
    });
    this.#workers.push({ worker, outstanding: 0 });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
