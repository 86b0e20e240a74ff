import { randomInt } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Clock, HoldfastError } from '../../lib/index.ts';
import { newSpoolPath, storeErrorOf } from './basics/index.ts';
import type {
  ObjectEntry,
  ObjectLock,
  ObjectStat,
  ObjectStore,
  PlaceProtection,
  PutOutcome,
  Tampering,
} from './store.ts';

/** With the waits below about a minute: longer than a fail-over of a store, shorter than anybody's patience with a command. */
const ATTEMPTS_MAX = 8;
const WAIT_MS_FIRST = 200;
const WAIT_MS_MAX = 20_000;

/** Where each try takes long itself, as on a connection on which nothing moves, none is begun after this: whoever waits wants to hear of it. */
const TRIES_MS_MAX = 180_000;

/** Bytes read at once while a stored object is compared with a local file. */
const COMPARE_BYTES = 1 << 20;

/** A call that failed for a while, and is tried again from now on. */
export interface Retry {
  readonly error: HoldfastError;
  /** How often it is tried still. */
  readonly triesLeft: number;
  /** How long that takes at most, where each try takes as long as the one that failed. */
  readonly msMax: number;
}

export interface RetryingOptions {
  readonly clock: Clock;
  readonly attempts?: number;
  readonly signal?: AbortSignal;
  /** Told once for each call that does not succeed at once. Many calls that are under way together are told one by one. */
  readonly onRetry?: (retry: Retry) => void;
}

/**
 * A store that repeats what failed with a retryable error, waiting longer each time; every call of a store is safe to repeat.
 *
 * An answer may be lost although the write succeeded. So when a repeated put finds the name taken, the bytes are compared, and its own are
 * reported as `created`.
 */
export function retrying(store: ObjectStore, options: RetryingOptions): ObjectStore {
  return new RetryingStore(store, options);
}

class RetryingStore implements ObjectStore {
  readonly description: string;
  readonly createPlace?: () => Promise<void>;
  readonly listTampering?: () => AsyncIterable<Tampering>;
  readonly protection?: () => Promise<PlaceProtection>;
  readonly lock?: ObjectLock;
  readonly readProved?: ObjectStore['readProved'] & {};
  readonly replaceDamaged?: ObjectStore['replaceDamaged'] & {};
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #attempts: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onRetry: RetryingOptions['onRetry'];

  constructor(store: ObjectStore, options: RetryingOptions) {
    this.description = store.description;
    this.#store = store;
    this.#clock = options.clock;
    this.#attempts = options.attempts ?? ATTEMPTS_MAX;
    this.#signal = options.signal;
    this.#onRetry = options.onRetry;
    if (store.createPlace !== undefined) this.createPlace = () => this.#repeat(() => store.createPlace!());
    // Not repeated: a broken listing can be asked for again as a whole.
    if (store.listTampering !== undefined) this.listTampering = () => store.listTampering!();
    if (store.protection !== undefined) this.protection = () => this.#repeat(() => store.protection!());
    // Not repeated: it takes a file over, and whoever heals looks at the object again before.
    if (store.replaceDamaged !== undefined) this.replaceDamaged = (name, path) => store.replaceDamaged!(name, path);
    if (store.readProved !== undefined) {
      const around = (from: ObjectStore) => (from === store ? this : new RetryingStore(from, options));
      this.readProved = (name, read) => store.readProved!(name, (from) => read(around(from)));
    }
    const { lock } = store;
    if (lock !== undefined) {
      this.lock = {
        lockFor: lock.lockFor,
        extend: (name, until) => this.#repeat(() => lock.extend(name, until)),
        until: (name) => this.#repeat(() => lock.until(name)),
      };
    }
  }

  putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    const isOwn = lookTwice(async () => {
      const own = Buffer.concat(parts instanceof Uint8Array ? [parts] : parts);
      return own.equals(await this.get(name));
    });
    return this.#repeat(async (attempt) => {
      const outcome = await this.#store.putIfAbsent(name, parts);
      if (outcome === 'created' || attempt === 1) return outcome;
      return (await isOwn()) ? 'created' : 'exists';
    });
  }

  /** Each attempt is given a second link to the file, as the store takes over what it is given. */
  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    const isOwn = lookTwice(() => this.#isSame(name, path));
    try {
      return await this.#repeat(async (attempt) => {
        const outcome = await this.#store.putFileIfAbsent(name, await linkBeside(path));
        if (outcome === 'created' || attempt === 1) return outcome;
        return (await isOwn()) ? 'created' : 'exists';
      });
    } finally {
      await rm(path, { force: true });
    }
  }

  spoolDirectory(): Promise<string> {
    return this.#repeat(() => this.#store.spoolDirectory());
  }

  get(name: string): Promise<Buffer> {
    return this.#repeat(() => this.#store.get(name));
  }

  getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#repeat(() => this.#store.getRange(name, offset, length));
  }

  stat(name: string): Promise<ObjectStat | null> {
    return this.#repeat(() => this.#store.stat(name));
  }

  /** A listing that breaks goes on behind the last name that was handed out. */
  async *list(
    prefix: string,
    options: { startAfter?: string; hidden?: boolean } = {},
  ): AsyncGenerator<ObjectEntry, void> {
    let position = options;
    for (let attempt = 1; ; attempt++) {
      let begun = this.#clock.monotonic();
      try {
        for await (const entry of this.#store.list(prefix, position)) {
          position = { ...options, startAfter: entry.name };
          attempt = 1;
          yield entry;
          begun = this.#clock.monotonic();
        }
        return;
      } catch (error) {
        await this.#waitOrThrow(error, attempt, this.#clock.monotonic() - begun);
      }
    }
  }

  delete(name: string): Promise<void> {
    return this.#repeat(() => this.#store.delete(name));
  }

  putVolatile(name: string, body: Uint8Array): Promise<void> {
    return this.#repeat(() => this.#store.putVolatile(name, body));
  }

  now(): Promise<number> {
    return this.#repeat(() => this.#store.now());
  }

  async #repeat<T>(call: (attempt: number) => Promise<T>): Promise<T> {
    const begun = this.#clock.monotonic();
    for (let attempt = 1; ; attempt++) {
      try {
        return await call(attempt);
      } catch (error) {
        const ms = this.#clock.monotonic() - begun;
        if (ms > TRIES_MS_MAX) throw error;
        await this.#waitOrThrow(error, attempt, ms);
      }
    }
  }

  /** `ms`: how long it has been tried. */
  async #waitOrThrow(error: unknown, attempt: number, ms: number): Promise<void> {
    const repeatable = error instanceof HoldfastError && error.retryable;
    if (!repeatable || attempt >= this.#attempts || this.#signal?.aborted === true) throw error;
    if (attempt === 1) this.#onRetry?.(this.#foresee(error, ms));
    const wait = waitMsAfter(attempt);
    // Spread between a half and the whole, so that those who failed together do not come back together.
    await this.#clock.sleep(wait / 2 + randomInt(Math.ceil(wait / 2)), this.#signal);
  }

  #foresee(error: HoldfastError, firstTryMs: number): Retry {
    const triesLeft = this.#attempts - 1;
    const waits = Array.from({ length: triesLeft }, (_, index) => waitMsAfter(index + 1));
    const ms = waits.reduce((sum, wait) => sum + wait, triesLeft * firstTryMs);
    return { error, triesLeft, msMax: Math.min(ms, TRIES_MS_MAX) };
  }

  /** Each piece is repeated for itself: a file of many would else begin anew with each that fails. */
  async #isSame(name: string, path: string): Promise<boolean> {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if ((await this.stat(name))?.size !== size) return false;
    const own = Buffer.alloc(COMPARE_BYTES);
    for (let at = 0; at < size; at += COMPARE_BYTES) {
      const length = Math.min(COMPARE_BYTES, size - at);
      await file.read(own, 0, length, at);
      if (!own.subarray(0, length).equals(await this.getRange(name, at, length))) return false;
    }
    return true;
  }
}

/** At most so long it is waited after the try of this number, from 1 on. */
function waitMsAfter(attempt: number): number {
  return Math.min(WAIT_MS_MAX, WAIT_MS_FIRST * 2 ** (attempt - 1));
}

/** A bit that flips on the way makes other bytes of our own, and never our own of others. What was seen counts although a later look failed. */
function lookTwice(isOwn: () => Promise<boolean>): () => Promise<boolean> {
  let others = 0;
  return async () => {
    for (; others < 2; others++) if (await isOwn()) return true;
    return false;
  };
}

async function linkBeside(path: string): Promise<string> {
  const second = newSpoolPath(dirname(path));
  try {
    await link(path, second).catch(() => copyFile(path, second, constants.COPYFILE_EXCL));
  } catch (error) {
    throw storeErrorOf(error, `read spool file "${path}"`);
  }
  return second;
}
