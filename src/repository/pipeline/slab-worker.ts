import { Worker } from 'node:worker_threads';
import { endThread, errorOfWorker, HoldfastError } from '../../lib/index.ts';
import type { IngestRequest, IngestResponse, IngestWorkerData } from './ingest-messages.ts';
import { SlabWork, type SlabWorkParts } from './slab-work.ts';

/** Young objects die at once here; a small nursery keeps a worker near 30 MB without slowing it. */
const WORKER_NURSERY_MB = 8;

/** Who is told what a slab worker did, and that it cannot go on. */
export interface SlabWorkerEvents {
  readonly answered: (response: IngestResponse) => void;
  readonly failed: (error: unknown) => void;
}

/** Somebody who works on slabs, in the order in which they are handed over. */
export interface SlabWorker {
  /** Whether what it is asked is done soon, and not only once its thread has started. */
  readonly isReady: boolean;
  ask(request: IngestRequest): void;
  /** Ends it, after what it was asked. Safe to repeat. */
  end(): Promise<void>;
}

/** A thread of its own. One that ends before it was ended, or asked to finish, has failed. */
export function startThread(data: IngestWorkerData, { answered, failed }: SlabWorkerEvents): SlabWorker {
  let isReady = false;
  let mayEnd = false;
  const thread = new Worker(new URL('./ingest-worker.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: WORKER_NURSERY_MB },
  });
  thread.on('online', () => {
    isReady = true;
  });
  thread.on('message', answered);
  thread.on('error', (error) => failed(errorOfWorker(error)));
  thread.on('exit', () => {
    if (!mayEnd) failed(new HoldfastError('INGEST_WORKER_ENDED', 'a backup worker ended before its work was done'));
  });
  return {
    get isReady() {
      return isReady;
    },
    ask(request) {
      if (request.kind === 'finish') mayEnd = true;
      thread.postMessage(request);
    },
    async end() {
      mayEnd = true;
      await endThread(thread);
    },
  };
}

/** The thread that asks, between other things that it has to do. */
export function workHere(parts: Omit<SlabWorkParts, 'say'>, { answered, failed }: SlabWorkerEvents): SlabWorker {
  let work: SlabWork | null = null;
  let hasEnded = false;
  const answer = (request: IngestRequest) => {
    if (hasEnded) return;
    try {
      work ??= new SlabWork({ ...parts, say: answered });
      work.answer(request);
    } catch (error) {
      failed(error);
    }
  };
  return {
    isReady: true,
    // Whoever asks is in the middle of something, and is answered after it, as by a thread.
    ask: (request) => void setImmediate(answer, request),
    async end() {
      hasEnded = true;
      work?.abandon();
    },
  };
}
