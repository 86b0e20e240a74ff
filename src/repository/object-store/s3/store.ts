import { rm } from 'node:fs/promises';
import { type Clock, codeOf, formatMoment, HoldfastError } from '../../../lib/index.ts';
import { objectAbsent, objectTooShort } from '../object-error.ts';
import { assertObjectName, assertVolatileName } from '../object-name.ts';
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
} from '../store.ts';
import { type Upload, uploadOfBytes, uploadOfFile } from '../upload.ts';
import type { ByteRange, ConnectOptions, S3Connection, S3Content, S3Version } from './connection.ts';
import type { S3Location } from './location.ts';
import { countingVersion, groupByName, isFragment, isHidden, isVolatile, type NamedVersions } from './versions.ts';

/** What a server gives at once, and the most that S3 allows. */
const PAGE_SIZE = 1000;

/** Known versions, about 300 bytes each. Whatever is forgotten is asked for again. */
const KNOWN_VERSIONS_MAX = 20_000;

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
  readonly #pageSize: number;
  #opened: Promise<S3Connection> | null = null;
  #keepsVersions: Promise<boolean> | null = null;
  /** Of names under which one version counts for good. */
  readonly #known = new Map<string, Promise<S3Version | null>>();
  /** The one version that this view of the store reads under its name. */
  #pinned: S3Version | null = null;

  constructor(location: S3Location, options: S3StoreOptions) {
    const place = `${location.bucket}/${location.prefix}`.replace(/\/$/, '');
    this.description = `S3 "${place}"${location.endpoint === undefined ? '' : ` at ${location.endpoint.host}`}`;
    this.#location = location;
    this.#options = options;
    this.#clock = options.clock;
    this.#rate = location.maxRate === undefined ? null : new RateLimit(location.maxRate, options.clock);
    this.#spool = new LocalSpool(options.scratchDirectory, options.clock);
    this.#pageSize = options.pageSize ?? PAGE_SIZE;
    if (options.lockFor !== undefined) {
      this.lock = {
        lockFor: options.lockFor,
        extend: (name, until) => this.#extendLock(name, until),
        until: (name) => this.#lockedUntil(name),
      };
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
    assertObjectName(name);
    if (!isVolatile(name) && (await this.#isVersioned())) return toStat(await this.#findVersion(name, 'afresh'));
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
    options: { startAfter?: string; hidden?: boolean } = {},
  ): AsyncGenerator<ObjectEntry, void> {
    const connection = await this.#connect();
    const startAfter = options.startAfter ?? '';
    if (isVolatile(prefix) || !(await this.#isVersioned())) {
      yield* connection.list(prefix, startAfter, this.#pageSize);
      return;
    }
    for await (const named of groupByName(connection.listVersions(prefix, startAfter, this.#pageSize))) {
      const counts = countingVersion(named);
      // A server may begin with the name itself, to which more versions than one may belong.
      if (counts === null || named.name <= startAfter) continue;
      if (!isVolatile(named.name)) this.#remember(named.name, Promise.resolve(counts));
      if (isHidden(named) && options.hidden !== true) continue;
      yield { name: named.name, size: counts.size, modifiedAt: counts.modifiedAt };
    }
  }

  async delete(name: string): Promise<void> {
    assertObjectName(name);
    const connection = await this.#connect();
    if (isVolatile(name) || !(await this.#isVersioned())) {
      const { leftMarker } = await connection.delete(name);
      if (!leftMarker || isVolatile(name)) return;
      // Versions are kept since a moment ago: what is behind the marker would still be read.
      this.#keepsVersions = Promise.resolve(true);
    }
    await this.#deleteVersions(connection, name);
  }

  async #deleteVersions(connection: S3Connection, name: string): Promise<void> {
    this.#known.delete(name);
    const named = await this.#listVersionsOf(name);
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
    await (await this.#connect()).put(name, upload, { onlyNew: false, lockedUntil: null });
  }

  async now(): Promise<number> {
    return (await this.#connect()).date();
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
      if (!isDamageOfOnePlace(error) || isVolatile(name) || !(await this.#isVersioned())) throw error;
      const { versions } = await this.#listVersionsOf(name);
      for (const version of versions.toReversed().slice(1)) {
        try {
          return await read(this.#withVersion(version));
        } catch (again) {
          // What is wrong with the version that counts says more than what is wrong with those behind it.
          if (!isDamageOfOnePlace(again)) throw again;
        }
      }
      throw error;
    }
  }

  /** The same store, in which this version of its name counts. */
  #withVersion(version: S3Version): ObjectStore {
    const view = new S3Store(this.#location, this.#options);
    view.#opened = this.#opened;
    view.#keepsVersions = this.#keepsVersions;
    view.#pinned = version;
    return view;
  }

  async protection(): Promise<PlaceProtection> {
    const connection = await this.#connect();
    return {
      versioning: await answerOrUnknown(async () => (await connection.versioning()) === 'on'),
      lock: await answerOrUnknown(() => connection.canLock()),
    };
  }

  async #putIfAbsent(name: string, upload: Upload): Promise<PutOutcome> {
    const lockMs = this.#options.lockFor?.(name) ?? null;
    const lockedUntil = lockMs === null ? null : toWholeSecond(this.#clock.now() + lockMs);
    const { outcome, version } = await (await this.#connect()).put(name, upload, { onlyNew: true, lockedUntil });
    if (outcome === 'exists' || version === undefined || this.#isAmazon()) return outcome;
    return this.#checkIsOldest(name, version);
  }

  /**
   * Where versions are kept, servers other than Amazon's may let several writers of a free name pass (Ceph 20 does). All of them have stored
   * a version then, and the oldest is the object: each finds out whether that is its own, and takes it back if not.
   */
  async #checkIsOldest(name: string, version: string): Promise<PutOutcome> {
    const oldest = await this.#findVersion(name, 'afresh');
    if (oldest === null || oldest.id === version) return 'created';
    try {
      await (await this.#connect()).delete(name, version);
    } catch {
      // Locked, or no right to delete: no reader ever takes it, as it is not the oldest.
    }
    return 'exists';
  }

  #isAmazon(): boolean {
    const { endpoint } = this.#location;
    return endpoint === undefined || /\.amazonaws\.com(\.cn)?$/.test(endpoint.hostname);
  }

  async #read(name: string, range?: ByteRange): Promise<S3Content> {
    const content = await this.#readOrNull(name, range);
    if (content === null) throw this.#absent(name);
    return content;
  }

  async #readOrNull(name: string, range?: ByteRange): Promise<S3Content | null> {
    assertObjectName(name);
    const connection = await this.#connect();
    if (isVolatile(name)) return connection.get(name, { range });
    if (await this.#isVersioned()) return this.#readCounting(connection, name, range);
    const content = await connection.get(name, { range });
    if (content?.version === undefined) return content;
    // Versions are kept since a moment ago.
    this.#keepsVersions = Promise.resolve(true);
    return this.#readCounting(connection, name, range);
  }

  /**
   * Reads the version that counts. Where it is not known yet the newest is asked for at the same time, as it nearly always is the same: then
   * to be sure has cost a request and no time.
   */
  async #readCounting(connection: S3Connection, name: string, range?: ByteRange): Promise<S3Content | null> {
    const isKnown = this.#known.has(name) || this.#pinned?.name === name;
    const found = this.#findVersion(name);
    // Whatever is wrong with the newest version is of no interest: the one that counts is read if this is not it.
    const newest = isKnown ? null : await connection.get(name, { range }).catch(() => null);
    const counts = await found;
    if (newest !== null && (newest.version ?? 'null') === counts?.id) return newest;
    const content = counts === null ? null : await connection.get(name, { range, version: counts.id });
    if (content !== null || !isKnown || this.#pinned !== null) return content;
    // It was deleted since we knew it; the name may have been given again.
    this.#known.delete(name);
    return this.#readCounting(connection, name, range);
  }

  #findVersion(name: string, wanted: 'afresh' | 'known' = 'known'): Promise<S3Version | null> {
    if (this.#pinned?.name === name) return Promise.resolve(this.#pinned);
    const known = wanted === 'known' ? this.#known.get(name) : undefined;
    return known ?? this.#remember(name, this.#listVersionsOf(name).then(countingVersion));
  }

  /** What is absent, or could not be asked for, is not remembered. */
  #remember(name: string, version: Promise<S3Version | null>): Promise<S3Version | null> {
    this.#known.delete(name);
    this.#known.set(name, version);
    if (this.#known.size > KNOWN_VERSIONS_MAX) this.#known.delete(this.#known.keys().next().value!);
    const forget = () => {
      if (this.#known.get(name) === version) this.#known.delete(name);
    };
    version.then((found) => found === null && forget(), forget);
    return version;
  }

  async #listVersionsOf(name: string): Promise<NamedVersions> {
    const connection = await this.#connect();
    // A name that begins other names stands before them: the first group is its own, or it has none.
    for await (const named of groupByName(connection.listVersions(name, '', this.#pageSize))) {
      if (named.name === name) return named;
      break;
    }
    return { name, versions: [], markers: [] };
  }

  async #extendLock(name: string, until: number): Promise<void> {
    assertObjectName(name);
    const connection = await this.#connect();
    const version = await this.#lockable(name);
    const wanted = toWholeSecond(until);
    const isLongEnough = async () => ((await connection.lockedUntil(name, version)) ?? 0) >= wanted;
    if (await isLongEnough()) return;
    try {
      await connection.lock(name, version, wanted);
    } catch (error) {
      // To shorten is refused: somebody else may have extended it further in between.
      if (codeOf(error) === 'STORE_DENIED' && (await isLongEnough())) return;
      throw error;
    }
  }

  async #lockedUntil(name: string): Promise<number | null> {
    assertObjectName(name);
    const version = await this.#lockable(name);
    return (await this.#connect()).lockedUntil(name, version);
  }

  async #lockable(name: string): Promise<string> {
    const version = await this.#findVersion(name);
    if (version === null) throw this.#absent(name);
    return version.id;
  }

  #connect(): Promise<S3Connection> {
    this.#opened ??= this.#open().catch((error) => {
      this.#opened = null;
      throw error;
    });
    return this.#opened;
  }

  async #open(): Promise<S3Connection> {
    // The SDK takes a tenth of a second to load, which only its users shall wait.
    const { connect } = await import('./connection.ts');
    const { credentials, signal } = this.#options;
    return connect({
      ...{ location: this.#location, description: this.description, rate: this.#rate, clock: this.#clock },
      ...(credentials === undefined ? {} : { credentials }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Whether names may have several versions. Asked once; answers that show a version correct it. */
  #isVersioned(): Promise<boolean> {
    this.#keepsVersions ??= this.#askVersioning().catch((error) => {
      this.#keepsVersions = null;
      throw error;
    });
    return this.#keepsVersions;
  }

  async #askVersioning(): Promise<boolean> {
    const connection = await this.#connect();
    try {
      return (await connection.versioning()) !== 'off';
    } catch (error) {
      // Who may not ask, or whose server does not know the question, finds out whether versions can be listed.
      if (!['STORE_DENIED', 'STORE_FAILED'].includes(codeOf(error) ?? '')) throw error;
    }
    try {
      for await (const _ of connection.listVersions('', '', 1)) break;
      return true;
    } catch (error) {
      if (!['STORE_DENIED', 'STORE_FAILED'].includes(codeOf(error) ?? '')) throw error;
      return false;
    }
  }

  #absent(name: string): HoldfastError {
    return objectAbsent(name, this.description);
  }
}

/** Locks are kept by the second; none may end early. */
function toWholeSecond(milliseconds: number): number {
  return Math.ceil(milliseconds / 1000) * 1000;
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
