import { copyFile, link, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type Clock, GrowthMeter, HoldfastError, messageOf } from '../../lib/index.ts';
import { readFormatHead } from '../format/index.ts';
import {
  isAbsent,
  isDamageOfOnePlace,
  newSpoolPath,
  type ObjectEntry,
  type ObjectStat,
  type ObjectStore,
  openDiskStore,
  type PlaceProtection,
  type PutOutcome,
} from '../object-store/index.ts';
import { readFormatBytes } from './identity.ts';
import { Loop } from './loop.ts';
import { mergeListings } from './merge-listings.ts';
import { isPlaceTrouble } from './place-watch.ts';
import { transferObject } from './transfer.ts';
import { WRITE_STEPS, writeStepOf } from './write-order.ts';

/** A primary that does not take an object for so long counts as away: commits may be waiting for it. */
const SILENT_MS_MAX = 10_000;
/** A primary that is away is asked at least this often. */
const ASK_MS_MAX = 15_000;
/** Objects that are handed over at the same moment. */
const LANES = 4;
/** The growth of the spool is measured over so long. */
const GROWTH_MS = 60_000;

/** What waits here for the primary: facts for a status and for alarms long before limits. */
export interface SpoolState {
  /** Since when the primary is away, in milliseconds since 1970; `null` while it answers. */
  readonly awaySince: number | null;
  readonly error: HoldfastError | null;
  readonly objects: number;
  readonly bytes: number;
  readonly budgetBytes: number;
  /** Left on the disk of the spool; `null` where the system does not say. */
  readonly freeBytes: number | null;
  /** As measured in the last minute, 0 when it does not grow; `null` while too little was seen. */
  readonly growthPerSecond: number | null;
  /** Until the budget or the disk is used up at this rate; `null` when it does not grow. */
  readonly fullInSeconds: number | null;
}

export type SpoolEvent =
  | { readonly kind: 'outage-began'; readonly error: HoldfastError }
  | { readonly kind: 'outage-ended' }
  /** Something was handed over, or reached a copy: what is durable away may have grown. */
  | { readonly kind: 'moved' }
  /** The primary has other bytes under the name; the spool keeps its own. */
  | { readonly kind: 'conflict'; readonly name: string };

export interface SpooledStoreOptions {
  readonly primary: ObjectStore;
  /** On a disk of this machine. Each repository has a directory of its own below it, named by its id: what waits for one never goes to another. */
  readonly directory: string;
  readonly clock: Clock;
  readonly budgetBytes: number;
}

interface Spool {
  readonly store: ObjectStore;
  readonly directory: string;
  /** The primary's `format`, by which it is known again. */
  readonly format: Buffer;
}

/** Whether an object holds the same in two places. */
export type ContentComparison = (name: string, one: ObjectStore, other: ObjectStore) => Promise<boolean>;

interface Spooled {
  readonly bytes: number;
  readonly modifiedAt: number;
  /** A required copy has it: it is durable away. */
  isHeld: boolean;
}

/**
 * A primary that may be away for a while: WAL that it does not take is kept on this machine, durable, and handed over when it returns.
 *
 * What lies here and was not handed over yet is read from here, as if the primary had it, so that copies get it meanwhile. While something waits here
 * nothing is deleted in the primary: a whole segment that waits must not take away fragments that are safe.
 */
export class SpooledStore implements ObjectStore {
  readonly description: string;
  readonly createPlace?: () => Promise<void>;
  readonly protection?: () => Promise<PlaceProtection>;
  readonly #options: SpooledStoreOptions;
  readonly #waiting = new Map<string, Spooled>();
  readonly #listeners = new Set<(event: SpoolEvent) => void>();
  readonly #handOver: Loop;
  #opened: Promise<Spool | null> | null = null;
  #bytes = 0;
  #away: { since: number; error: HoldfastError } | null = null;
  #conflicts = new Set<string>();
  readonly #growth = new GrowthMeter(GROWTH_MS);
  #isClosed = false;
  /** The primary has taken something since this process began. */
  #hasTaken = false;
  #isSameContent: ContentComparison = async () => false;

  constructor(options: SpooledStoreOptions) {
    const { primary, clock } = options;
    this.#options = options;
    this.description = primary.description;
    if (primary.createPlace !== undefined) this.createPlace = () => primary.createPlace!();
    if (primary.protection !== undefined) this.protection = () => primary.protection!();
    if (primary.lock !== undefined) Object.assign(this, { lock: primary.lock });
    if (primary.readProved !== undefined) {
      Object.assign(this, {
        readProved: <T>(name: string, read: (from: ObjectStore) => Promise<T>) =>
          this.#waiting.has(name) ? read(this) : primary.readProved!(name, read),
      });
    }
    const onTrouble = (error: HoldfastError) => this.#noteAway(error);
    const step = () => this.#handOverAll();
    this.#handOver = new Loop({ clock, step, onTrouble, onWell: () => {}, retryMsMax: ASK_MS_MAX });
  }

  /** Hears what happens, until the function that is given back is called. */
  listen(listener: (event: SpoolEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How to tell whether two sealed objects hold the same; without it only equal bytes are. Another receiver may have brought the same WAL. */
  compareBy(isSame: ContentComparison): void {
    this.#isSameContent = isSame;
  }

  /** Names that wait here and that no required copy has either: what is lost if this machine is. */
  get onlyHere(): string[] {
    return [...this.#waiting].filter(([, { isHeld }]) => !isHeld).map(([name]) => name);
  }

  /** Whether any of these waits here and no required copy has it. */
  isAnyOnlyHere(names: readonly string[]): boolean {
    return names.some((name) => this.#waiting.get(name)?.isHeld === false);
  }

  /** A required copy has the object. */
  noteHeld(name: string): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined || waiting.isHeld) return;
    waiting.isHeld = true;
    this.#tell({ kind: 'moved' });
  }

  async state(): Promise<SpoolState> {
    const { budgetBytes, directory: above } = this.#options;
    const freeBytes = await statfs((await this.#open())?.directory ?? above).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => null, // Not every system says it; the budget is known all the same.
    );
    this.#measure();
    const growthPerSecond = this.#growth.perSecond;
    const room = Math.max(0, Math.min(budgetBytes - this.#bytes, freeBytes ?? Number.POSITIVE_INFINITY));
    return {
      awaySince: this.#away?.since ?? null,
      error: this.#away?.error ?? null,
      objects: this.#waiting.size,
      bytes: this.#bytes,
      ...{ budgetBytes, freeBytes, growthPerSecond },
      fullInSeconds: growthPerSecond !== null && growthPerSecond > 0 ? room / growthPerSecond : null,
    };
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    const { primary } = this.#options;
    const spool = isSpooled(name) ? await this.#open() : null;
    if (spool === null) return this.#asking(() => primary.putIfAbsent(name, parts));
    const size = (parts instanceof Uint8Array ? [parts] : parts).reduce((sum, part) => sum + part.length, 0);
    if (!this.#isSpooling) {
      const outcome = await this.#orAway(() => primary.putIfAbsent(name, parts));
      if (outcome !== null) return outcome;
    }
    this.#assertRoom(size);
    return this.#keep(name, size, await spool.store.putIfAbsent(name, parts));
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    const { primary } = this.#options;
    const spool = isSpooled(name) ? await this.#open() : null;
    if (spool === null) return this.#asking(() => primary.putFileIfAbsent(name, path));
    // The primary takes over what it is given, also when it fails.
    const second = newSpoolPath(dirname(path));
    await this.#linkOrAway(path, second);
    try {
      if (!this.#isSpooling) {
        const outcome = await this.#orAway(() => primary.putFileIfAbsent(name, path));
        if (outcome !== null) return outcome;
      }
      const { size } = await stat(second);
      this.#assertRoom(size);
      const own = newSpoolPath(await spool.store.spoolDirectory());
      await copyFile(second, own);
      return this.#keep(name, size, await spool.store.putFileIfAbsent(name, own));
    } finally {
      await rm(second, { force: true });
      if (this.#isSpooling) await rm(path, { force: true });
    }
  }

  async spoolDirectory(): Promise<string> {
    const spool = await this.#open();
    if (spool !== null && this.#isSpooling) return spool.store.spoolDirectory();
    try {
      return await this.#options.primary.spoolDirectory();
    } catch (error) {
      if (spool === null || !this.#isOutage(error)) throw error;
      this.#noteAway(error);
      return spool.store.spoolDirectory();
    }
  }

  async get(name: string): Promise<Buffer> {
    return this.#reading(name, (from) => from.get(name));
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#reading(name, (from) => from.getRange(name, offset, length));
  }

  async stat(name: string): Promise<ObjectStat | null> {
    const spool = await this.#open();
    if (spool !== null && this.#waiting.has(name)) {
      const found = await spool.store.stat(name);
      if (found !== null) return found;
    }
    return this.#asking(() => this.#options.primary.stat(name));
  }

  async *list(
    prefix: string,
    options: { startAfter?: string; hidden?: boolean } = {},
  ): AsyncGenerator<ObjectEntry, void> {
    await this.#open();
    // As it is now: what is handed over while the primary is listed may be in neither listing by then.
    const waiting = this.#listWaiting(prefix, options.startAfter ?? '');
    const listings = [this.#options.primary.list(prefix, options)];
    if (waiting.length > 0) listings.push(Readable.from(waiting));
    for await (const { entries } of mergeListings(listings)) yield entries.find((entry) => entry !== null)!;
  }

  async delete(name: string): Promise<void> {
    const spool = await this.#open();
    if (spool === null || !this.#isSpooling) return this.#asking(() => this.#options.primary.delete(name));
    // Whoever deletes fragments has their segment, which may wait here: then what is safe in the primary stays until a later receiver looks.
    if (this.#waiting.has(name)) await this.#forget(spool, name);
  }

  putVolatile(name: string, body: Uint8Array): Promise<void> {
    return this.#asking(() => this.#options.primary.putVolatile(name, body));
  }

  now(): Promise<number> {
    return this.#asking(() => this.#options.primary.now());
  }

  /** Hands over what waits, as far as the primary answers, and ends. What is left is handed over by the next one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#handOver.close();
  }

  get #isSpooling(): boolean {
    return this.#away !== null || this.#waiting.size > this.#conflicts.size;
  }

  #listWaiting(prefix: string, startAfter: string): ObjectEntry[] {
    const names = [...this.#waiting.keys()].filter((name) => name.startsWith(prefix) && name > startAfter);
    return names.sort().map((name) => {
      const { bytes, modifiedAt } = this.#waiting.get(name)!;
      return { name, size: bytes, modifiedAt };
    });
  }

  /** `null` as long as the primary is no repository that can be told from others. What a process of before left is handed over first. */
  async #open(): Promise<Spool | null> {
    this.#opened ??= this.#openSpool();
    try {
      const spool = await this.#opened;
      if (spool === null) this.#opened = null;
      return spool;
    } catch (error) {
      this.#opened = null;
      throw error;
    }
  }

  async #openSpool(): Promise<Spool | null> {
    const { primary, clock } = this.#options;
    const format = await readFormatBytes(primary);
    const head = format === null ? null : readFormatHead(format);
    if (format === null || head?.state !== 'ours') return null;
    const directory = join(this.#options.directory, head.id);
    const store = openDiskStore(directory, { clock });
    await store.createPlace?.();
    for await (const { name, size, modifiedAt } of store.list('')) this.#count(name, size, modifiedAt);
    if (this.#waiting.size > 0) this.#handOver.wake();
    return { store, directory, format };
  }

  async #reading(name: string, read: (from: ObjectStore) => Promise<Buffer>): Promise<Buffer> {
    const spool = await this.#open();
    if (spool !== null && this.#waiting.has(name)) {
      try {
        return await read(spool.store);
      } catch (error) {
        // It was handed over a moment ago.
        if (!isAbsent(error)) throw error;
      }
    }
    return this.#asking(() => read(this.#options.primary));
  }

  /** While it is away, nobody but the hand-over waits for it. */
  async #asking<T>(call: () => Promise<T>): Promise<T> {
    if (this.#away !== null) throw this.#away.error;
    return call();
  }

  /** `null` when the primary is away, or takes too long. An answer that comes later does no harm: the bytes are the same. */
  async #orAway<T>(call: () => Promise<T>): Promise<T | null> {
    const timer = new AbortController();
    const calling = call();
    const silent = this.#options.clock.sleep(SILENT_MS_MAX, timer.signal).then(() => silence(this.#options.primary));
    try {
      const answer = await Promise.race([calling, silent]);
      if (!(answer instanceof HoldfastError)) {
        this.#hasTaken = true;
        return answer;
      }
      calling.catch(() => {}); // It was waited for long enough.
      this.#noteAway(answer);
      return null;
    } catch (error) {
      if (!this.#isOutage(error)) throw error;
      this.#noteAway(error);
      return null;
    } finally {
      timer.abort();
    }
  }

  /** A file that lies on the disk of a primary can go with it; whoever made it makes it again, here. */
  async #linkOrAway(path: string, second: string): Promise<void> {
    try {
      await link(path, second);
    } catch (error) {
      const away = new HoldfastError('STORE_UNAVAILABLE', `could not read spool file "${path}"`, {
        detail: `The system said: ${messageOf(error)}.`,
        retryable: true,
        cause: error,
      });
      this.#noteAway(away);
      throw away;
    }
  }

  #noteAway(error: HoldfastError): void {
    const hadBegun = this.#away !== null;
    this.#away ??= { since: this.#options.clock.now(), error };
    if (!hadBegun) this.#tell({ kind: 'outage-began', error });
    if (!this.#isClosed) this.#handOver.wake();
  }

  #assertRoom(bytes: number): void {
    if (this.#bytes + bytes <= this.#options.budgetBytes) return;
    throw new HoldfastError('STORE_SPOOL_FULL', 'could not keep WAL on this machine: the spool for outages is full', {
      detail: `Expected room for ${bytes} bytes within ${this.#options.budgetBytes}, found ${this.#bytes} in use. ${this.#away?.error.message ?? ''}`,
      hints: ['Mend the way to the primary; from here on the server keeps its WAL itself.'],
      retryable: true,
    });
  }

  #keep(name: string, bytes: number, outcome: PutOutcome): PutOutcome {
    // Also what another process of this machine has put there: it waits here, whoever brought it.
    this.#count(name, bytes, this.#options.clock.now());
    this.#handOver.wake();
    return outcome;
  }

  #count(name: string, bytes: number, modifiedAt: number): void {
    if (this.#waiting.has(name)) return;
    this.#waiting.set(name, { bytes, modifiedAt, isHeld: false });
    this.#bytes += bytes;
    this.#measure();
  }

  async #forget(spool: Spool, name: string): Promise<void> {
    await spool.store.delete(name);
    this.#bytes -= this.#waiting.get(name)?.bytes ?? 0;
    this.#waiting.delete(name);
    this.#conflicts.delete(name);
  }

  async #handOverAll(): Promise<number | null> {
    const spool = await this.#open();
    if (spool === null) return null;
    if (this.#away !== null) await this.#findPrimary(spool);
    const order = (name: string) => WRITE_STEPS.indexOf(writeStepOf(name) ?? 'others');
    const names = [...this.#waiting.keys()].filter((name) => !this.#conflicts.has(name));
    names.sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
    if (names.length === 0) this.#endOutage();
    for (let at = 0; at < names.length; ) {
      const step = order(names[at]!);
      let end = at + 1;
      // One alone first: a primary that answers need not have room.
      const lanes = this.#away === null ? LANES : 1;
      while (end < names.length && end < at + lanes && order(names[end]!) === step) end += 1;
      await Promise.all(names.slice(at, end).map((name) => this.#handOverOne(spool, name)));
      this.#endOutage();
      at = end;
    }
    if (names.length > 0) this.#tell({ kind: 'moved' });
    return [...this.#waiting.keys()].some((name) => !this.#conflicts.has(name)) ? 0 : null;
  }

  /**
   * What may pass or be mended while WAL goes on here. A failed sync is not among them (rule C1), nor is a right that this process never had: that
   * has to be told at once.
   */
  #isOutage(error: unknown): error is HoldfastError {
    if (!isPlaceTrouble(error) || error.code === 'STORE_SYNC_FAILED') return false;
    return this.#hasTaken || error.code === 'STORE_UNAVAILABLE' || error.code === 'STORE_FULL';
  }

  #endOutage(): void {
    if (this.#away === null) return;
    this.#away = null;
    this.#tell({ kind: 'outage-ended' });
  }

  /** A disk that came back empty, or that is another one, is not the primary: what waits for one repository never goes to another. */
  async #findPrimary({ format }: Spool): Promise<void> {
    const { primary } = this.#options;
    const found = await readFormatBytes(primary);
    if (found?.equals(format) === true) return;
    throw new HoldfastError(
      'STORE_ABSENT',
      `could not hand WAL over to ${primary.description}: it is not the repository that went away`,
      {
        detail: `Expected the object "format" as it was before, found ${found === null ? 'none' : 'another one'}.`,
        hints: ['Check that the right disk is mounted, or make a copy the primary.'],
      },
    );
  }

  async #handOverOne(spool: Spool, name: string): Promise<void> {
    const { primary } = this.#options;
    // Put also where it seems to be: a try that failed may have left it there, and only a put that succeeds says that it is durable.
    const { outcome } = await transferObject({ name, from: spool.store, to: primary, isPutAlways: true });
    // Another process of this machine shares the spool: it has handed the object over, or a fragment went when it was joined.
    const isElsewhere = outcome === 'gone' && (name.includes('/fragments/') || (await primary.stat(name)) !== null);
    if (isElsewhere || outcome === 'copied' || outcome === 'there' || (await this.#isSame(name, spool.store))) {
      await this.#forget(spool, name);
      return;
    }
    this.#conflicts.add(name);
    this.#tell({ kind: 'conflict', name });
  }

  /** What the primary has there and cannot be read is not the same, and holds nothing else up. */
  async #isSame(name: string, spool: ObjectStore): Promise<boolean> {
    try {
      return await this.#isSameContent(name, spool, this.#options.primary);
    } catch (error) {
      if (isDamageOfOnePlace(error) || isAbsent(error)) return false;
      throw error;
    }
  }

  #measure(): void {
    this.#growth.add(this.#options.clock.monotonic(), this.#bytes);
  }

  #tell(event: SpoolEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** WAL itself and what is made of it. A lineage is begun only where it can be seen whether there is one. */
function isSpooled(name: string): boolean {
  return ['histories', 'wal', 'landmarks'].includes(writeStepOf(name) ?? '');
}

function silence({ description }: ObjectStore): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not write to ${description}: it does not answer`, {
    detail: `Expected an answer within ${SILENT_MS_MAX / 1000} seconds, found none.`,
    retryable: true,
  });
}
