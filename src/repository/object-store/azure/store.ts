import { rm } from 'node:fs/promises';
import { type Clock, HoldfastError } from '../../../lib/index.ts';
import { type ByteRange, objectAbsent, objectTooShort } from '../basics/index.ts';
import type { StoreCredentials } from '../credentials.ts';
import { madeOnce } from '../made-once.ts';
import { assertObjectName, assertVolatileName, requireObjectName } from '../object-name.ts';
import { RateLimit } from '../rate-limit.ts';
import { LocalSpool } from '../spool-directory.ts';
import type { ObjectEntry, ObjectStat, ObjectStore, PlaceProtection, PutOutcome } from '../store.ts';
import { type Upload, uploadOfBytes, uploadOfFile } from '../upload.ts';
import { findAccess } from './access.ts';
import type { AzureConnection } from './connection.ts';
import type { AzureLocation } from './location.ts';

/** What a server gives at once, and the most that Azure allows. */
const PAGE_SIZE = 5000;

export interface AzureStoreOptions {
  readonly clock: Clock;
  readonly credentials?: StoreCredentials;
  readonly scratchDirectory?: string;
  readonly lockFor?: (name: string) => number | null;
  readonly signal?: AbortSignal;
  /** Names on a page of a listing; for tests. */
  readonly pageSize?: number;
  /** The variables in which credentials are looked for; those of this process unless a test has its own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Objects in a container of Azure Blob Storage. Nothing is sent before the first call, and each request is sent once.
 *
 * Created once by `If-None-Match: *`, in one Put Blob, held by the server against its MD5. The current version of a name counts: where the account
 * keeps versions, or what was deleted, older ones are kept by it and not read here.
 * Errors: `STORE_LOCK_ABSENT` when it is to lock, which this version does not do there.
 */
export function openAzureStore(location: AzureLocation, options: AzureStoreOptions): ObjectStore {
  return new AzureStore(location, options);
}

class AzureStore implements ObjectStore {
  readonly description: string;
  readonly #location: AzureLocation;
  readonly #options: AzureStoreOptions;
  readonly #rate: RateLimit | null;
  readonly #spool: LocalSpool;
  readonly #connect = madeOnce(() => this.#open());

  constructor(location: AzureLocation, options: AzureStoreOptions) {
    const place = `${location.account}/${location.container}/${location.prefix}`.replace(/\/$/, '');
    this.description = `Azure "${place}"${location.endpoint === undefined ? '' : ` at ${location.endpoint.host}`}`;
    this.#location = location;
    this.#options = options;
    this.#rate = location.maxRate === undefined ? null : new RateLimit(location.maxRate, options.clock);
    this.#spool = new LocalSpool(options.scratchDirectory, options.clock);
    if (options.lockFor !== undefined) throw this.#cannotLock();
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    assertObjectName(name);
    const bytes = Buffer.concat(parts instanceof Uint8Array ? [parts] : parts);
    return this.#put(name, uploadOfBytes(bytes, 'md5', this.#rate));
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    assertObjectName(name);
    try {
      return await this.#put(name, await uploadOfFile(path, 'md5', this.#rate));
    } finally {
      await rm(path, { force: true });
    }
  }

  spoolDirectory(): Promise<string> {
    return this.#spool.open();
  }

  get(name: string): Promise<Buffer> {
    return this.#read(name);
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    if (length === 0) {
      // No range of Azure is empty; what is left to tell is whether the object is there.
      if ((await this.stat(name)) === null) throw this.#absent(name);
      return Buffer.alloc(0);
    }
    const bytes = await this.#read(name, { offset, length });
    if (bytes.length === length) return bytes;
    throw objectTooShort(name, { offset, length }, bytes.length);
  }

  async stat(name: string): Promise<ObjectStat | null> {
    requireObjectName(name);
    return (await this.#connect()).head(name);
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectEntry, void> {
    const connection = await this.#connect();
    const { startAfter = '' } = options;
    const isWithin = startAfter.startsWith(prefix);
    // Every name with the prefix stands before it.
    if (startAfter > prefix && !isWithin) return;
    let last = '';
    const startFrom = isWithin ? startAfter : '';
    for await (const page of connection.list(prefix, startFrom, this.#options.pageSize ?? PAGE_SIZE)) {
      for (const entry of page) {
        if (entry.name <= startAfter) continue;
        if (entry.name <= last) throw this.#unordered(last, entry.name);
        last = entry.name;
        yield entry;
      }
    }
  }

  async delete(name: string): Promise<void> {
    assertObjectName(name);
    await (await this.#connect()).delete(name);
  }

  async putVolatile(name: string, body: Uint8Array): Promise<void> {
    assertVolatileName(name);
    const upload = uploadOfBytes(Buffer.from(body), 'md5', this.#rate);
    await (await this.#connect()).put(name, upload, { onlyNew: false });
  }

  async now(): Promise<number> {
    return (await this.#connect()).date();
  }

  /** Only who manages the account may ask whether it keeps versions; answers to what was stored tell that it does. */
  async protection(): Promise<PlaceProtection> {
    return { versioning: (await this.#connect()).keepsVersions ? 'on' : 'unknown', lock: 'off' };
  }

  async #put(name: string, upload: Upload): Promise<PutOutcome> {
    return (await this.#connect()).put(name, upload, { onlyNew: true });
  }

  async #read(name: string, range?: ByteRange): Promise<Buffer> {
    requireObjectName(name);
    const bytes = await (await this.#connect()).get(name, range);
    if (bytes === null) throw this.#absent(name);
    return bytes;
  }

  async #open(): Promise<AzureConnection> {
    const { credentials, clock, signal, environment = process.env } = this.#options;
    const access = findAccess(this.#location, credentials, environment);
    // The SDK takes a while to load, which only its users shall wait.
    const { connect } = await import('./connection.ts');
    return connect({
      ...{ location: this.#location, description: this.description, access, clock, rate: this.#rate },
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #absent(name: string): HoldfastError {
    return objectAbsent(name, this.description);
  }

  #unordered(last: string, name: string): HoldfastError {
    return new HoldfastError('STORE_LISTS_UNORDERED', `cannot use ${this.description}: its listings are out of order`, {
      detail: `Expected names in the order of their bytes, found "${name}" behind "${last}".`,
      hints: ['Use an account without hierarchical namespace.'],
    });
  }

  #cannotLock(): HoldfastError {
    return new HoldfastError('STORE_LOCK_ABSENT', `cannot lock objects in ${this.description}`, {
      detail: 'Locks are asked for, and this version does not set policies of immutability in Azure.',
      hints: [
        'Take the lock out of the plan for this place; docs/object-stores.md says what the account itself can protect.',
        'Or keep the copy that is to be untouchable in S3.',
      ],
    });
  }
}
