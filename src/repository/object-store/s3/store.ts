import { rm } from 'node:fs/promises';
import { type Clock, codeOf, formatMoment, HoldfastError } from '../../../lib/index.ts';
import { type ByteRange, objectAbsent, objectTooShort } from '../basics/index.ts';
import { madeOnce } from '../made-once.ts';
import { assertObjectName, assertVolatileName, isFragment, isVolatile, requireObjectName } from '../object-name.ts';
import { RateLimit } from '../rate-limit.ts';
import { LocalSpool } from '../spool-directory.ts';
import {
  isDamageOfOnePlace,
  type ObjectEntry,
  type ObjectLock,
  type ObjectStat,
  type ObjectStore,
  type PlaceAnswer,
  type PlaceProtection,
  type PutOutcome,
  type Tampering,
} from '../store.ts';
import { type Upload, uploadOfBytes, uploadOfFile } from '../upload.ts';
import type { ConnectOptions, S3Connection, S3Content, S3Version } from './connection.ts';
import { KnownVersions, type OpenedBucket } from './known-versions.ts';
import type { S3Location } from './location.ts';
import { makeLock, toWholeSecond } from './lock.ts';
import { isHidden, winningVersion } from './versions.ts';

/** What a server gives at once, and the most that S3 allows. */
const PAGE_SIZE = 1000;

export interface S3StoreOptions {
  readonly clock: Clock;
  readonly credentials?: ConnectOptions['credentials'];
  readonly scratchDirectory?: string;
  readonly lockFor?: (name: string) => number | null;
  readonly signal?: AbortSignal;
  /** Names on a page of a listing; for tests. */
  readonly pageSize?: number;
}

/**
 * Objects in a bucket of S3, or of what speaks its language. Nothing is sent before the first call, and each request is sent once.
 *
 * Created once by `If-None-Match: *`, in one PUT, held by the server against its SHA-256. In a bucket that keeps versions the oldest version of
 * a name counts and delete markers are ignored (rule B1; `versions.ts`), and to delete is to remove every version.
 */
export function openS3Store(location: S3Location, options: S3StoreOptions): ObjectStore {
  return new S3Store(location, options);
}

class S3Store implements ObjectStore {
  readonly description: string;
  readonly lock?: ObjectLock;
  readonly #location: S3Location;
  readonly #options: S3StoreOptions;
  readonly #clock: Clock;
  readonly #rate: RateLimit | null;
  readonly #spool: LocalSpool;
  #open = madeOnce(() => this.#connect());

  constructor(location: S3Location, options: S3StoreOptions) {
    const place = `${location.bucket}/${location.prefix}`.replace(/\/$/, '');
    this.description = `S3 "${place}"${location.endpoint === undefined ? '' : ` at ${location.endpoint.host}`}`;
    this.#location = location;
    this.#options = options;
    this.#clock = options.clock;
    this.#rate = location.maxRate === undefined ? null : new RateLimit(location.maxRate, options.clock);
    this.#spool = new LocalSpool(options.scratchDirectory, options.clock);
    if (options.lockFor !== undefined) {
      this.lock = makeLock({ lockFor: options.lockFor, open: () => this.#open(), description: this.description });
    }
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    assertObjectName(name);
    const bytes = Buffer.concat(parts instanceof Uint8Array ? [parts] : parts);
    return this.#putIfAbsent(name, uploadOfBytes(bytes, 'sha256', this.#rate));
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    assertObjectName(name);
    try {
      return await this.#putIfAbsent(name, await uploadOfFile(path, 'sha256', this.#rate));
    } finally {
      await rm(path, { force: true });
    }
  }

  spoolDirectory(): Promise<string> {
    return this.#spool.open();
  }

  async get(name: string): Promise<Buffer> {
    return (await this.#read(name)).bytes;
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    if (length === 0) {
      // No range of S3 is empty; what is left to tell is whether the object is there.
      if ((await this.stat(name)) === null) throw this.#absent(name);
      return Buffer.alloc(0);
    }
    const range = { offset, length };
    const { bytes } = await this.#read(name, range);
    if (bytes.length === length) return bytes;
    throw objectTooShort(name, range, bytes.length);
  }

  async stat(name: string): Promise<ObjectStat | null> {
    requireObjectName(name);
    const { versions } = await this.#open();
    if (!isVolatile(name) && (await versions.areKept())) return toStat(await versions.findAfresh(name));
    try {
      // Its first byte says what HEAD would, and a refusal has words, which one of HEAD has not.
      return toStat(await this.#readOrNull(name, { offset: 0, length: 1 }));
    } catch (error) {
      if (codeOf(error) !== 'OBJECT_TRUNCATED') throw error;
      return toStat(await this.#readOrNull(name));
    }
  }

  async *list(
    prefix: string,
    { startAfter = '', hidden = false }: { startAfter?: string; hidden?: boolean } = {},
  ): AsyncGenerator<ObjectEntry, void> {
    const { connection, versions } = await this.#open();
    if (isVolatile(prefix) || !(await versions.areKept())) yield* connection.list(prefix, startAfter, this.#pageSize);
    else yield* versions.list(prefix, startAfter, hidden);
  }

  async delete(name: string): Promise<void> {
    assertObjectName(name);
    const { connection, versions } = await this.#open();
    if (isVolatile(name) || !(await versions.areKept())) {
      await connection.delete(name);
      // Where versions are kept since a moment ago, what is behind the marker would still be read.
      if (isVolatile(name) || !connection.hasSeenVersions) return;
    }
    versions.forget(name);
    const named = await versions.listOf(name);
    try {
      // The oldest last: until it is gone the object is there as it was. Then the markers: with a version left they may be what hides it.
      for (const { id } of [...named.versions, ...named.markers]) await connection.delete(name, id);
    } catch (error) {
      if (codeOf(error) !== 'STORE_DENIED') throw error;
      const until = await this.#lockOfDenied(connection, name, named.versions);
      if (!isFragment(name)) throw until === null ? error : this.#locked(name, until, error);
      if (!isHidden(named)) await connection.delete(name);
    }
  }

  /** Until when one of the versions is locked, if that is why they cannot be deleted; `null` when it is not, or who asks may not know. */
  async #lockOfDenied(connection: S3Connection, name: string, versions: readonly S3Version[]): Promise<number | null> {
    const now = this.#clock.now();
    for (const { id } of versions) {
      const until = await connection.lockedUntil(name, id).catch(() => null);
      if (until !== null && until > now) return until;
    }
    return null;
  }

  #locked(name: string, until: number, cause: unknown): HoldfastError {
    return new HoldfastError('OBJECT_LOCKED', `cannot delete object "${name}": it is locked`, {
      detail: `Nobody can delete it from ${this.description} before ${formatMoment(until)}.`,
      hints: ['Delete it after that; the lock was set so that an intruder cannot.'],
      cause,
    });
  }

  async putVolatile(name: string, body: Uint8Array): Promise<void> {
    assertVolatileName(name);
    const upload = uploadOfBytes(Buffer.from(body), 'sha256', this.#rate);
    await (await this.#open()).connection.put(name, upload, { onlyNew: false, lockedUntil: null });
  }

  async now(): Promise<number> {
    return (await this.#open()).connection.date();
  }

  /**
   * The oldest version that proves to be what was stored: one whose bytes are damaged is healed by a later one. What fails its proof is read
   * twice, as the way may have harmed it. Errors: those of the version that counts.
   */
  async readProved<T>(name: string, read: (from: ObjectStore) => Promise<T>): Promise<T> {
    try {
      return await read(this).catch((error) => {
        if (isDamageOfOnePlace(error)) return read(this);
        throw error;
      });
    } catch (error) {
      const bucket = await this.#open();
      if (!isDamageOfOnePlace(error) || isVolatile(name) || !(await bucket.versions.areKept())) throw error;
      const { versions } = await bucket.versions.listOf(name);
      for (const version of versions.toReversed().slice(1)) {
        try {
          return await read(this.#with({ ...bucket, versions: bucket.versions.pin(version) }));
        } catch (again) {
          // What is wrong with the version that counts says more than what is wrong with those behind it.
          if (!isDamageOfOnePlace(again)) throw again;
        }
      }
      throw error;
    }
  }

  /** The same store, in which other versions count. */
  #with(bucket: OpenedBucket): ObjectStore {
    const view = new S3Store(this.#location, this.#options);
    view.#open = async () => bucket;
    return view;
  }

  async *listTampering(): AsyncGenerator<Tampering, void> {
    const { versions } = await this.#open();
    if (await versions.areKept()) yield* versions.listTampering();
  }

  async protection(): Promise<PlaceProtection> {
    const { connection } = await this.#open();
    return {
      versioning: await answerOrUnknown(async () => (await connection.versioning()) === 'on'),
      lock: await answerOrUnknown(() => connection.canLock()),
    };
  }

  async #putIfAbsent(name: string, upload: Upload): Promise<PutOutcome> {
    const lockMs = this.#options.lockFor?.(name) ?? null;
    const lockedUntil = lockMs === null ? null : toWholeSecond(this.#clock.now() + lockMs);
    const bucket = await this.#open();
    const { outcome, version } = await bucket.connection.put(name, upload, { onlyNew: true, lockedUntil });
    if (outcome === 'exists' || version === undefined || bucket.connection.isAmazon) return outcome;
    return this.#checkIsOldest(bucket, name, version);
  }

  /**
   * Where versions are kept, servers other than Amazon's may let several writers of a free name pass (Ceph 20 does). All of them have stored
   * a version then, and the oldest is the object: each finds out whether that is its own, and takes it back if not.
   */
  async #checkIsOldest({ connection, versions }: OpenedBucket, name: string, version: string): Promise<PutOutcome> {
    const winner = isVolatile(name) ? winningVersion(await versions.listOf(name)) : await versions.findAfresh(name);
    if (winner === null || winner.id === version) return 'created';
    // Before it takes back what it has stored it asks once more, and believes no listing without it: one that is old or was altered on the way.
    versions.forget(name);
    const again = await versions.listOf(name);
    if (!again.versions.some(({ id }) => id === version)) throw unlisted(name);
    const first = winningVersion(again);
    if (first === null || first.id === version) return 'created';
    try {
      await connection.delete(name, version);
    } catch {
      // Locked, or no right to delete: no reader ever takes it, as it is not the oldest. Under volatile/ the newest counts.
      if (isVolatile(name)) await this.#putOnTop(connection, name, first);
    }
    return 'exists';
  }

  /** Makes what another version holds the newest one. */
  async #putOnTop(connection: S3Connection, name: string, version: S3Version): Promise<void> {
    const content = await connection.get(name, { version: version.id });
    if (content === null) return;
    await connection.put(name, uploadOfBytes(content.bytes, 'sha256', this.#rate), {
      onlyNew: false,
      lockedUntil: null,
    });
  }

  async #read(name: string, range?: ByteRange): Promise<S3Content> {
    const content = await this.#readOrNull(name, range);
    if (content === null) throw this.#absent(name);
    return content;
  }

  async #readOrNull(name: string, range?: ByteRange): Promise<S3Content | null> {
    requireObjectName(name);
    const bucket = await this.#open();
    const { connection, versions } = bucket;
    if (isVolatile(name)) return connection.get(name, { range });
    if (await versions.areKept()) return this.#readCounting(bucket, name, range);
    const content = await connection.get(name, { range });
    // Where versions are kept since a moment ago this may be another one than was stored, or none because of a marker.
    return connection.hasSeenVersions ? this.#readCounting(bucket, name, range) : content;
  }

  /**
   * Reads the version that counts. Where it is not known yet the newest is asked for at the same time, as it nearly always is the same: then
   * to be sure has cost a request and no time.
   */
  async #readCounting(bucket: OpenedBucket, name: string, range?: ByteRange): Promise<S3Content | null> {
    const { connection, versions } = bucket;
    const isKnown = versions.isKnown(name);
    const found = versions.find(name);
    // Whatever is wrong with the newest version is of no interest: the one that counts is read if this is not it.
    const newest = isKnown ? null : await connection.get(name, { range }).catch(() => null);
    const counts = await found;
    if (newest !== null && (newest.version ?? 'null') === counts?.id) return newest;
    const content = counts === null ? null : await connection.get(name, { range, version: counts.id });
    if (content !== null || !isKnown || versions.isPinned(name)) return content;
    // It was deleted since we knew it; the name may have been given again.
    versions.forget(name);
    return this.#readCounting(bucket, name, range);
  }

  get #pageSize(): number {
    return this.#options.pageSize ?? PAGE_SIZE;
  }

  async #connect(): Promise<OpenedBucket> {
    // The SDK takes a tenth of a second to load, which only its users shall wait.
    const { connect } = await import('./connection.ts');
    const { credentials, signal } = this.#options;
    const connection = await connect({
      ...{ location: this.#location, description: this.description, rate: this.#rate, clock: this.#clock },
      ...(credentials === undefined ? {} : { credentials }),
      ...(signal === undefined ? {} : { signal }),
    });
    return { connection, versions: new KnownVersions(connection, this.#pageSize) };
  }

  #absent(name: string): HoldfastError {
    return objectAbsent(name, this.description);
  }
}

function unlisted(name: string): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not write object "${name}": the listing does not have it`, {
    detail: 'Expected the version that was stored a moment ago among those of its name, found others only.',
    retryable: true,
  });
}

function toStat(found: ObjectStat | null): ObjectStat | null {
  return found === null ? null : { size: found.size, modifiedAt: found.modifiedAt };
}

async function answerOrUnknown(ask: () => Promise<boolean>): Promise<PlaceAnswer> {
  try {
    return (await ask()) ? 'on' : 'off';
  } catch (error) {
    if (!['STORE_DENIED', 'STORE_FAILED'].includes(codeOf(error) ?? '')) throw error;
    return 'unknown';
  }
}
