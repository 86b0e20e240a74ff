import type { HoldfastError } from '../../lib/index.ts';

/**
 * Where objects lie: a flat space of names with slashes, each name holding bytes.
 *
 * Every implementation and every wrapper is held to `test/contract/object-store.ts`.
 * Names are 1–900 bytes of `[A-Za-z0-9._-]` in parts joined by `/`; a part is never empty, `.` or `..`.
 *
 * Errors that every call may throw, as `HoldfastError`: `STORE_UNAVAILABLE` (retryable: time-out, network, busy), `STORE_DENIED`
 * (credentials lack the right), `STORE_FULL` (no space or quota), `STORE_ABSENT` (no such directory or bucket: never to be taken for an
 * absent object), `STORE_SYNC_FAILED` (durability can no longer be promised; every later write is refused), `STORE_FAILED` (anything
 * else, with the cause). Stores that are not on this host have more, each for one thing that a person must mend: `STORE_REGION_WRONG`,
 * `STORE_CREDENTIALS_ABSENT`, `_EXPIRED`, `_REJECTED`, `STORE_CLOCK_SKEWED`, `STORE_TLS_UNTRUSTED`, `STORE_LOCK_ABSENT`, `STORE_DRIVER_ABSENT`
 * (the package that speaks with it is not installed), `STORE_LISTS_UNORDERED` (of listings); retryable ones: `STORE_SLOW_DOWN`,
 * `STORE_TRANSFER_DAMAGED`; and `INTERRUPTED` once the signal that they were opened with is aborted.
 */
export interface ObjectStore {
  /** For people: `disk "/backups"`; never a credential. */
  readonly description: string;

  /** Makes the place itself (a directory) when it is not there; only `repository init` does so. Safe to repeat. */
  createPlace?(): Promise<void>;

  /**
   * Stores the parts joined, unless the name is taken.
   *
   * Atomic: nobody ever sees a part of the object. Durable when it returns `created`. Safe to repeat: a repetition returns `exists`,
   * and the caller that wants to know whether the bytes are its own reads them back. Never overwrites.
   */
  putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome>;

  /**
   * Stores a whole local file as an object, unless the name is taken, and takes the file over: afterwards it is gone, whatever the outcome.
   * The same promises as `putIfAbsent`. Free of copying when the file lies in `spoolDirectory()`.
   */
  putFileIfAbsent(name: string, path: string): Promise<PutOutcome>;

  /** A local directory, made if needed, from which `putFileIfAbsent` is cheapest. Files in it are not objects. */
  spoolDirectory(): Promise<string>;

  /** The whole object. Absent: throws `OBJECT_ABSENT`. */
  get(name: string): Promise<Buffer>;

  /** Exactly `length` bytes from `offset`. Absent: `OBJECT_ABSENT`; fewer bytes there: `OBJECT_TRUNCATED`. The buffer is the caller's alone. */
  getRange(name: string, offset: number, length: number): Promise<Buffer>;

  /** Size in bytes and the store's own time of creation; `null` when absent. */
  stat(name: string): Promise<ObjectStat | null>;

  /**
   * Every object whose name starts with `prefix`, in bytewise order of names, those after `startAfter` only.
   * An object stored before the call began is listed; one stored or deleted meanwhile may or may not be.
   * `hidden`: fragments of WAL too that were deleted where what is deleted is kept (`docs/object-stores.md`).
   */
  list(prefix: string, options?: { startAfter?: string; hidden?: boolean }): AsyncIterable<ObjectEntry>;

  /** Removes the object; absent is no error, so it is safe to repeat. Locked: `OBJECT_LOCKED`. */
  delete(name: string): Promise<void>;

  /** Overwrites or creates, atomically; only for names under `volatile/`, asserted. */
  putVolatile(name: string, body: Uint8Array): Promise<void>;

  /** The store's own clock in milliseconds since 1970, for leases and retention. */
  now(): Promise<number>;

  /** What the place says of itself; missing where a place cannot say anything, as a disk. What it may not be asked is `unknown`. */
  protection?(): Promise<PlaceProtection>;

  /**
   * Names that were overwritten or deleted after they were stored, which readers do not see; missing where a place keeps nothing of that. Fragments of WAL, which are
   * deleted every day, and what is volatile are left out.
   */
  listTampering?(): AsyncIterable<Tampering>;

  /** Present only where the place was opened with locks; whether it keeps them, `protection` says. */
  readonly lock?: ObjectLock;

  /** What the store is made of, the primary first; missing where it is one place. */
  readonly places?: readonly StorePlace[];

  /**
   * How many listings so far lack what the primary alone may have, as it did not answer; missing where the store is one place. Whoever takes a name for
   * absent because it was not listed compares before and after (rule A3).
   */
  readonly listingsWithoutPrimary?: number;

  /** See the function `readProved`, which everybody calls; missing where the store is one place. */
  readProved?<T>(name: string, read: (from: ObjectStore) => Promise<T>): Promise<T>;

  /**
   * Settles when every required place holds these objects, names or prefixes that end in a slash; missing where the store is one place.
   * Errors: `REPOSITORY_COPY_AWAY`, `REPOSITORY_COPY_DIFFERS`, `REPOSITORY_COPY_FOREIGN`.
   */
  untilCopied?(wanted: readonly string[], options?: { signal?: AbortSignal }): Promise<void>;

  /**
   * Puts the bytes of a local file in the place of an object that failed its proof, atomically and durably, and takes the file over. For
   * healing alone; missing where what was stored once cannot be replaced.
   */
  replaceDamaged?(name: string, path: string): Promise<void>;
}

/** One of the places that keep the same repository. What is `required` has to be there before a backup is listed. */
export interface StorePlace {
  readonly name: string;
  readonly store: ObjectStore;
  readonly required: boolean;
}

/** Locks of a place: what is locked can be taken away by nobody before a time. They hold the oldest version of a name. */
export interface ObjectLock {
  /** For how many milliseconds from now an object of this name is to be locked; `null` for one that never is. */
  readonly lockFor: (name: string) => number | null;

  /** Locks the object until then (milliseconds since 1970) at least; never shortens, safe to repeat. Absent: `OBJECT_ABSENT`. */
  extend(name: string, until: number): Promise<void>;

  /** Until when it is locked; `null` when it is not. Absent: `OBJECT_ABSENT`. */
  until(name: string): Promise<number | null>;
}

/** What was done to a name after its object was stored. */
export interface Tampering {
  readonly name: string;
  /** Versions that were put over the first one. */
  readonly overwritten: number;
  /** Whether it was deleted by name. */
  readonly isMarked: boolean;
}

/** Whether a place keeps what is overwritten or deleted, and for how long nobody can take it away. */
export interface PlaceProtection {
  /** Whether the bytes of a name that is overwritten or deleted are kept as an older version. */
  versioning: PlaceAnswer;
  /** Whether objects can be locked against everybody until a time. */
  lock: PlaceAnswer;
}

export type PlaceAnswer = 'on' | 'off' | 'unknown';

export type PutOutcome = 'created' | 'exists';

export interface ObjectStat {
  size: number;
  modifiedAt: number;
}

export interface ObjectEntry extends ObjectStat {
  name: string;
}

export function isAbsent(error: unknown): error is HoldfastError {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'OBJECT_ABSENT';
}

/** The bytes of an object, `null` when it is absent. Errors: those of the store. */
export async function getIfThere(store: ObjectStore, name: string): Promise<Buffer | null> {
  try {
    return await store.get(name);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** What one object can be like in one place without another place being like it. */
const ONE_PLACE_CODES: ReadonlySet<string> = new Set([
  ...['OBJECT_DAMAGED', 'OBJECT_TRUNCATED', 'CHUNK_DAMAGED'],
  // A flipped bit can look like a newer envelope or another epoch.
  ...['OBJECT_NEWER', 'KEY_EPOCH_ABSENT'],
]);

/** True when an object is not what was stored there: another place may have it whole. */
export function isDamageOfOnePlace(error: unknown): error is HoldfastError {
  return typeof error === 'object' && error !== null && 'code' in error && ONE_PLACE_CODES.has(String(error.code));
}

/**
 * Reads an object by `read`, which proves what it is given; where the store is made of several places, the next one is asked when one does not
 * have the object, does not answer, or gives what fails the proof.
 *
 * `read` uses no other store than the one that it is given and is safe to repeat. Errors: what `read` threw, of the first place that could say
 * something about the object.
 */
export function readProved<T>(store: ObjectStore, name: string, read: (from: ObjectStore) => Promise<T>): Promise<T> {
  return store.readProved === undefined ? read(store) : store.readProved(name, read);
}
