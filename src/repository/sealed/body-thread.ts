import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { copyBytes, endThread, giveBack, mapAhead } from '../../lib/index.ts';
import { OBJECT_ID_BYTES } from '../codec/index.ts';
import { newSpoolPath, storeErrorOf } from '../object-store/index.ts';
import type { BodyAnswer, BodyRequest, BodyTask, BodyThreadData } from './body-messages.ts';
import type { SealedObjects } from './sealed-objects.ts';
import { type BodyStream, READ_BYTES, READS_AHEAD, rangesOf, type StreamPut } from './sealed-stream.ts';

/** Young objects die at once here; a small nursery keeps the thread small. */
const NURSERY_MB = 2;

/** The answers that are awaited hold at the key of the body that was sealed. */
export interface ThreadPut extends StreamPut {
  readonly task: BodyTask;
}

type Ask = BodyRequest extends infer Request ? (Request extends BodyRequest ? Omit<Request, 'id'> : never) : never;

/**
 * Seals bodies that lie in shared memory, and compares what was stored with them, beside the thread that gathers the next ones. Stores are asked
 * from the caller's thread as ever.
 *
 * It may always answer that it could not: the caller then does the same by `putBodyStream` and `getBodyStream`, which say what is wrong. One
 * comparison at a time. `close` ends the thread; it keeps no program alive that waits for nothing from it.
 */
export class BodyThread {
  readonly #worker: Worker;
  readonly #window = Buffer.from(new SharedArrayBuffer(READ_BYTES));
  readonly #waiting = new Map<number, (outcome: BodyAnswer['outcome']) => void>();
  #next = 0;
  #hasEnded = false;
  #comparing: Promise<unknown> = Promise.resolve();

  constructor() {
    this.#worker = new Worker(new URL('./body-worker.ts', import.meta.url), {
      workerData: { window: this.#window } satisfies BodyThreadData,
      resourceLimits: { maxYoungGenerationSizeMb: NURSERY_MB },
    });
    this.#worker.unref();
    this.#worker.on('message', ({ id, outcome }: BodyAnswer) => this.#answer(id, outcome));
    this.#worker.on('error', () => this.#end());
    this.#worker.on('exit', () => this.#end());
  }

  /** Seals a body and stores it, once. Null when the thread could not, after which nothing was stored. Errors: those of the store. */
  async put(objects: SealedObjects, { kind, name }: BodyStream, body: Uint8Array): Promise<ThreadPut | null> {
    objects.assertWritable();
    const { repositoryId, currentEpoch: epoch } = objects.keys;
    const objectId = randomBytes(OBJECT_ID_BYTES);
    const key = objects.keys.objectKey(kind, objectId, epoch);
    const task = { kind, name, body, repositoryId, epoch, objectId, key };
    const path = newSpoolPath(await objects.store.spoolDirectory());
    const sealed = await this.#ask({ ask: 'seal', task, path });
    if (sealed === 'failed' || !('size' in sealed)) {
      // A thread that was ended has perhaps begun it.
      await rm(path, { force: true }).catch((error) => {
        throw storeErrorOf(error, `write object "${name}"`);
      });
      return null;
    }
    return { outcome: await objects.store.putFileIfAbsent(name, path), size: sealed.size, task };
  }

  /** Reads what `put` stored, opens it and compares it. False when it is not the body, or when the thread could not tell. Errors: those of the store. */
  isStored(objects: SealedObjects, put: ThreadPut): Promise<boolean> {
    const comparing = this.#comparing.then(() => this.#compare(objects, put));
    this.#comparing = comparing.catch(() => {}); // The one who asked hears of it.
    return comparing;
  }

  /** Ends the thread, after what it was asked. What is awaited of it then could not be done. */
  async close(): Promise<void> {
    this.#end();
    await endThread(this.#worker);
  }

  async #compare({ store }: SealedObjects, { task, size }: ThreadPut): Promise<boolean> {
    if (!isEqual(await this.#ask({ ask: 'compare', task }))) return false;
    const read = async ({ at, length }: { at: number; length: number }) => ({
      stored: await store.getRange(task.name, at, length),
      isLast: at + length === size,
    });
    for await (const { stored, isLast } of mapAhead(rangesOf(size), READS_AHEAD, read)) {
      const { length } = stored;
      copyBytes(stored, this.#window, 0);
      giveBack(stored);
      if (!isEqual(await this.#ask({ ask: 'go-on', length, isLast }))) return false;
    }
    return true;
  }

  #ask(request: Ask): Promise<BodyAnswer['outcome']> {
    if (this.#hasEnded) return Promise.resolve('failed');
    const id = this.#next++;
    const { promise, resolve } = Promise.withResolvers<BodyAnswer['outcome']>();
    if (this.#waiting.size === 0) this.#worker.ref();
    this.#waiting.set(id, resolve);
    this.#worker.postMessage({ ...request, id });
    return promise;
  }

  #answer(id: number, outcome: BodyAnswer['outcome']): void {
    this.#waiting.get(id)?.(outcome);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
  }

  #end(): void {
    this.#hasEnded = true;
    for (const id of [...this.#waiting.keys()]) this.#answer(id, 'failed');
  }
}

function isEqual(outcome: BodyAnswer['outcome']): boolean {
  return outcome !== 'failed' && 'isEqual' in outcome && outcome.isEqual;
}
