import { copyFile, link, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { type Clock, GrowthMeter, HoldfastError, messageOf } from '../../lib/index.ts';
import { FORMAT_NAME } from '../format/index.ts';
import {
  isAbsent,
  newSpoolPath,
  type ObjectEntry,
  type ObjectStat,
  type ObjectStore,
  type PlaceProtection,
  type PutOutcome,
} from '../object-store/index.ts';
import { assertSamePrimary, HandOver, type SpoolEvent, type SpoolJudge } from './hand-over.ts';
import { readFormatBytes } from './identity.ts';
import { mergeListings } from './merge-listings.ts';
import { isPlaceTrouble } from './place-watch.ts';
import { Spool } from './spool.ts';
import { writeStepOf } from './write-order.ts';

/** A primary that does not take an object for so long counts as away: commits may be waiting for it. */
const SILENT_MS_MAX = 10_000;
/** How often it is looked whether all was handed over. */
const LOOK_MS = 100;
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

export interface SpooledStoreOptions {
  readonly primary: ObjectStore;
  /** On a disk of this machine. Each repository has a directory of its own below it, named by its id: what waits for one never goes to another. */
  readonly directory: string;
  readonly clock: Clock;
  readonly budgetBytes: number;
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
  readonly #listeners = new Set<(event: SpoolEvent) => void>();
  readonly #handOver: HandOver;
  #opened: Promise<Spool | null> | null = null;
  #spool: Spool | null = null;
  #away: { since: number; error: HoldfastError } | null = null;
  readonly #growth = new GrowthMeter(GROWTH_MS);
  #isClosed = false;
  #returns = 0;
  /** The primary has taken something since this process began. */
  #hasTaken = false;

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
          this.#isWaiting(name) ? read(this) : primary.readProved!(name, read),
      });
    }
    this.#handOver = new HandOver({
      ...{ primary, clock, open: () => this.#open(), isAway: () => this.isAway },
      onReached: () => this.#endOutage(),
      onTrouble: (error) => this.#noteAway(error),
      tell: (event) => this.#tell(event),
    });
  }

  /** Hears what happens, until the function that is given back is called. */
  listen(listener: (event: SpoolEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** By whom is judged what waits. Nothing is handed over before: what the primary contradicts must not get there. */
  judgeBy(judge: SpoolJudge): void {
    this.#handOver.judgeBy(judge);
    if (this.#spool !== null && this.#spool.waiting > 0) this.#handOver.wake();
  }

  get isAway(): boolean {
    return this.#away !== null;
  }

  /** Why the primary is away; `null` while it answers. */
  get awayBy(): HoldfastError | null {
    return this.#away?.error ?? null;
  }

  /** How often the primary came back: what was judged before the last time is the past, as the primary may have contradicted it then. */
  get returns(): number {
    return this.#returns;
  }

  /** Names that wait here and that no required copy has either: what is lost if this machine is. */
  get onlyHere(): string[] {
    return this.#spool?.onlyHere ?? [];
  }

  /** Whether any of these waits here and no required copy has it, or the primary contradicts it: then it never gets there. */
  isAnyOnlyHere(names: readonly string[]): boolean {
    return names.some((name) => this.#spool?.isOnlyHere(name) === true || this.#handOver.isContradicted(name));
  }

  /** The first of these that the primary has otherwise; null when there is none. */
  findContradicted(names: readonly string[]): string | null {
    return names.find((name) => this.#handOver.isContradicted(name)) ?? null;
  }

  /** What waits here, by itself: it is listed also while the primary is not. */
  listHere(prefix: string, startAfter?: string): ObjectEntry[] {
    return this.#spool?.list(prefix, startAfter) ?? [];
  }

  /** A required copy has the object. */
  noteHeld(name: string): void {
    if (this.#spool?.noteHeld(name) === true) this.#tell({ kind: 'moved' });
  }

  /**
   * Goes on without a primary that did not answer, as whoever opened the repository found out elsewhere; `format` is proved by the keys.
   * Errors: those of the disk.
   */
  async beginAway(format: Buffer, error: HoldfastError): Promise<void> {
    this.#opened = this.#openWith(format);
    await this.#opened;
    this.#noteAway(error);
  }

  /**
   * Whether the primary answers now. If so, what waits here was compared with it, and what it contradicts is set aside: whoever builds on what
   * is listed asks this first.
   *
   * Errors: those of a primary that answers and is no outage.
   */
  async ready(): Promise<boolean> {
    const spool = await this.#orAway(() => this.#open(), false);
    if (spool !== null && this.#away === null)
      await this.#orAway(() => assertSamePrimary(this.#options.primary, spool), false);
    if (this.#away !== null) return false;
    if (spool === null || spool.objects === 0) return true;
    try {
      await this.#handOver.compareOnce(spool);
    } catch (error) {
      if (!this.#isOutage(error)) throw error;
      this.#noteAway(error);
      return false;
    }
    this.#handOver.setContradictedAside(spool);
    return true;
  }

  /** Settled when nothing waits any more, when the primary is away, or after so long. Gives how many objects are left. */
  async drain(msMax: number): Promise<number> {
    const { clock } = this.#options;
    const until = clock.monotonic() + msMax;
    if (!(await this.ready()) || this.#spool === null) return this.#spool?.objects ?? 0;
    this.#handOver.rouse();
    while (this.isHandingOver && clock.monotonic() < until) await clock.sleep(LOOK_MS);
    return this.#spool.objects;
  }

  /** Whether something waits that goes on being handed over: nothing contradicts it, and the primary answers. */
  get isHandingOver(): boolean {
    return this.#spool !== null && !this.isAway && this.#handOver.isWanted(this.#spool);
  }

  async state(): Promise<SpoolState> {
    const { budgetBytes, directory: above } = this.#options;
    const freeBytes = await statfs((await this.#open())?.directory ?? above).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => null, // Not every system says it; the budget is known all the same.
    );
    this.#measure();
    const growthPerSecond = this.#growth.perSecond;
    const room = Math.max(0, Math.min(budgetBytes - (this.#spool?.bytes ?? 0), freeBytes ?? Number.POSITIVE_INFINITY));
    return {
      awaySince: this.#away?.since ?? null,
      error: this.#away?.error ?? null,
      objects: this.#spool?.objects ?? 0,
      bytes: this.#spool?.bytes ?? 0,
      ...{ budgetBytes, freeBytes, growthPerSecond },
      fullInSeconds: growthPerSecond !== null && growthPerSecond > 0 ? room / growthPerSecond : null,
    };
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    const { primary } = this.#options;
    const spool = isSpooled(name) ? await this.#open() : null;
    if (spool === null) return this.#asking(() => primary.putIfAbsent(name, parts));
    this.#handOver.refuseFenced(name);
    const size = (parts instanceof Uint8Array ? [parts] : parts).reduce((sum, part) => sum + part.length, 0);
    if (!this.#isSpooling) {
      const outcome = await this.#orAway(() => primary.putIfAbsent(name, parts));
      if (outcome !== null) return outcome;
    }
    this.#assertRoom(spool, size);
    return this.#keep(spool, name, size, await spool.store.putIfAbsent(name, parts));
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    const { primary } = this.#options;
    const spool = isSpooled(name) ? await this.#open() : null;
    if (spool === null) return this.#asking(() => primary.putFileIfAbsent(name, path));
    this.#handOver.refuseFenced(name);
    // The primary takes over what it is given, also when it fails.
    const second = newSpoolPath(dirname(path));
    await this.#linkOrAway(path, second);
    try {
      if (!this.#isSpooling) {
        const outcome = await this.#orAway(() => primary.putFileIfAbsent(name, path));
        if (outcome !== null) return outcome;
      }
      const own = newSpoolPath(await spool.store.spoolDirectory());
      // The disk of the primary, on which the file lies, may have gone with it.
      const size = await this.#readOrAway(second, async () => {
        const { size } = await stat(second);
        this.#assertRoom(spool, size);
        await copyFile(second, own);
        return size;
      });
      return this.#keep(spool, name, size, await spool.store.putFileIfAbsent(name, own));
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
    const format = name === FORMAT_NAME && this.#away !== null ? (await this.#open())?.format : undefined;
    return format ?? this.#reading(name, (from) => from.get(name));
  }

  async getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#reading(name, (from) => from.getRange(name, offset, length));
  }

  async stat(name: string): Promise<ObjectStat | null> {
    const spool = await this.#open();
    if (spool?.has(name) === true) {
      const found = await spool.store.stat(name);
      if (found !== null) return found;
    }
    return this.#asking(() => this.#options.primary.stat(name));
  }

  async *list(
    prefix: string,
    options: { startAfter?: string; hidden?: boolean } = {},
  ): AsyncGenerator<ObjectEntry, void> {
    const spool = await this.#open();
    // As it is now: what is handed over while the primary is listed may be in neither listing by then.
    const waiting = spool?.list(prefix, options.startAfter) ?? [];
    const listings = [this.#options.primary.list(prefix, options)];
    if (waiting.length > 0) listings.push(Readable.from(waiting));
    for await (const { entries } of mergeListings(listings)) yield entries.find((entry) => entry !== null)!;
  }

  async delete(name: string): Promise<void> {
    const spool = await this.#open();
    if (spool === null || !this.#isSpooling) return this.#asking(() => this.#options.primary.delete(name));
    // Whoever deletes fragments has their segment, which may wait here: then what is safe in the primary stays until a later receiver looks.
    if (spool.has(name)) await this.#handOver.forget(spool, name);
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
    return this.#away !== null || (this.#spool?.waiting ?? 0) > this.#handOver.conflicts;
  }

  #isWaiting(name: string): boolean {
    return this.#spool?.has(name) === true;
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
    const format = await readFormatBytes(this.#options.primary);
    return format === null ? null : this.#openWith(format);
  }

  async #openWith(format: Buffer): Promise<Spool | null> {
    const { directory, clock } = this.#options;
    const spool = await Spool.open(directory, format, clock);
    this.#spool = spool;
    if (spool === null || spool.objects === 0) return spool;
    this.#measure();
    this.#tell({ kind: 'found', names: spool.names });
    this.#handOver.wake();
    return spool;
  }

  async #reading(name: string, read: (from: ObjectStore) => Promise<Buffer>): Promise<Buffer> {
    const spool = await this.#open();
    if (spool?.has(name) === true) {
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
    if (this.#away !== null) throw primaryAway(this.#options.primary, this.#away.error);
    return call();
  }

  /** `null` when the primary is away, or takes too long. An answer that comes later does no harm: the bytes are the same. */
  async #orAway<T>(call: () => Promise<T>, isPut = true): Promise<T | null> {
    const timer = new AbortController();
    const calling = call();
    const silent = this.#options.clock.sleep(SILENT_MS_MAX, timer.signal).then(() => silence(this.#options.primary));
    try {
      const answer = await Promise.race([calling, silent]);
      if (!(answer instanceof HoldfastError)) {
        this.#hasTaken ||= isPut;
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
  #linkOrAway(path: string, second: string): Promise<void> {
    return this.#readOrAway(path, () => link(path, second));
  }

  /** What the system says of a file in the primary's directory says that the primary is away: whoever made the file makes it again. */
  async #readOrAway<Value>(path: string, read: () => Promise<Value>): Promise<Value> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof HoldfastError) throw error;
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
    // Others may have brought something meanwhile.
    this.#handOver.noteOutage();
    if (!hadBegun) this.#tell({ kind: 'outage-began', error });
    if (!this.#isClosed) this.#handOver.wake();
  }

  #assertRoom(spool: Spool, bytes: number): void {
    spool.assertRoom(bytes, this.#options.budgetBytes, this.#away?.error.message ?? '');
  }

  #keep(spool: Spool, name: string, bytes: number, outcome: PutOutcome): PutOutcome {
    // Also what another process of this machine has put there: it waits here, whoever brought it.
    spool.count(name, bytes, this.#options.clock.now());
    this.#measure();
    this.#handOver.wake();
    return outcome;
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
    this.#returns += 1;
    this.#tell({ kind: 'outage-ended' });
  }

  #measure(): void {
    this.#growth.add(this.#options.clock.monotonic(), this.#spool?.bytes ?? 0);
  }

  #tell(event: SpoolEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** WAL itself and what is made of it. A lineage is begun only where it can be seen whether there is one. */
function isSpooled(name: string): boolean {
  return ['histories', 'wal', 'landmarks'].includes(writeStepOf(name) ?? '');
}

/** Whatever it is away by, it is asked again, and whoever wanted something of it can wait. */
function primaryAway({ description }: ObjectStore, cause: HoldfastError): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not ask ${description}: it is away`, {
    detail: [`${cause.message}.`, cause.detail ?? ''].join(' ').trim(),
    hints: cause.hints,
    retryable: true,
    cause,
  });
}

function silence({ description }: ObjectStore): HoldfastError {
  return new HoldfastError('STORE_UNAVAILABLE', `could not write to ${description}: it does not answer`, {
    detail: `Expected an answer within ${SILENT_MS_MAX / 1000} seconds, found none.`,
    retryable: true,
  });
}
