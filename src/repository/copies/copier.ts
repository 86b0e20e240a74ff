import type { Clock, HoldfastError } from '../../lib/index.ts';
import type { ObjectStore, StorePlace } from '../object-store/index.ts';
import type { CopyEventSink } from './events.ts';
import { identifyPlace, type PlaceIdentity, readFormatBytes } from './identity.ts';
import { Loop } from './loop.ts';
import { isPlaceTrouble, type PlaceWatch } from './place-watch.ts';
import { bringLacking } from './sync-copy.ts';
import { admitPlace, isNoCopy } from './tell-apart.ts';
import { transferObject } from './transfer.ts';
import { watchedStore } from './watched-store.ts';
import { rootsOfWal, segmentOfLandmarks, WRITE_STEPS, writeStepOf } from './write-order.ts';

/** Objects that are put into one copy at the same moment. */
const LANES = 4;
/** Names that wait for one copy; more are forgotten and found by comparing. */
const WAITING_MAX = 10_000;
/** Bytes that wait at hand for one copy; more are fetched from the primary when their turn comes. */
const WAITING_BYTES_MAX = 32 << 20;
/** Larger objects are not kept at hand. */
export const AT_HAND_BYTES_MAX = 4 << 20;
/** After an object that needs others, so long is waited for more of them before the places are compared. */
const PASS_DELAY_MS = 1_000;
/** What the primary did not give is asked of it again after so long. */
const SOURCE_RETRY_MS = 2_000;
/** What nothing needs, such as summaries of landmarks, comes with another pass, or after so long. */
const LAZY_PASS_DELAY_MS = 10 * 60_000;
/** A pass begins when nothing is on its way any more, or at the latest after so long: it would fetch the same objects again. */
const PASS_PATIENCE_MS = 5_000;

/** What is known of a copy, from memory alone: for a status, never for a decision about what is safe. */
export interface CopyState {
  readonly name: string;
  readonly required: boolean;
  readonly state: 'unknown' | 'catching-up' | 'in-step' | 'away' | 'foreign';
  /** Objects that are known to wait; more may be lacking. */
  readonly waiting: number;
  /** Since when the oldest of them waits, in milliseconds since 1970; `null` when nothing waits. */
  readonly waitingSince: number | null;
  /** Brought by this process. */
  readonly objects: number;
  readonly bytes: number;
  /** Names with other bytes in the copy than in the primary. */
  readonly differing: readonly string[];
  /** Why it is away, or foreign. */
  readonly error: HoldfastError | null;
}

interface Waiting {
  readonly name: string;
  bytes: Buffer | null;
  readonly since: number;
}

/**
 * Brings to one copy what is durable in the primary, beside all other work: what needs nothing else at once, the rest by passes that compare.
 *
 * It holds nobody up and never throws; what it cannot bring is told by events and by its state.
 */
export class Copier {
  readonly #primary: ObjectStore;
  readonly #watch: PlaceWatch;
  /** The copy, with every call going past its watch: what the primary does not give is no word about the copy. */
  readonly #watched: ObjectStore;
  readonly #onHeld: (name: string) => void;
  readonly #isPrimaryAway: () => boolean;
  readonly #clock: Clock;
  readonly #tell: CopyEventSink;
  readonly #waiting = new Map<string, Waiting>();
  readonly #underWay = new Map<string, Waiting>();
  readonly #stop = new AbortController();
  readonly #roots = new Set<string>();
  readonly #differing = new Set<string>();
  readonly #direct: Loop;
  readonly #passes: Loop;
  #waitingBytes = 0;
  /** What only a pass can bring was put then, or may have been put before this process. */
  #passWantedSince: number | null = null;
  #passDueAt = Number.POSITIVE_INFINITY;
  #isPassing = false;
  #wasInStep = false;
  #admission: Promise<void> | null = null;
  #identity: PlaceIdentity | null = null;
  /** It was admitted by its `format` alone, as the primary was away: whether it is the primary itself is asked when that is back. */
  #isUnsure = false;
  #error: HoldfastError | null = null;
  #objects = 0;
  #bytes = 0;
  /** The primary is no repository yet. */
  #isVoid = false;
  #offered = 0;
  #isHurried = false;
  #hasBegun = false;
  #idle: (() => void)[] = [];

  constructor(options: {
    primary: ObjectStore;
    watch: PlaceWatch;
    clock: Clock;
    tell: CopyEventSink;
    catchUp: boolean;
    /** The copy has the object. */
    onHeld: (name: string) => void;
    /** Whether the primary shows nothing but its `format`, and what waits for it. */
    isPrimaryAway: () => boolean;
  }) {
    this.#primary = options.primary;
    this.#watch = options.watch;
    this.#watched = watchedStore(options.watch);
    this.#onHeld = options.onHeld;
    this.#isPrimaryAway = options.isPrimaryAway;
    this.#clock = options.clock;
    this.#tell = options.tell;
    // What other processes left undone is not known: the first pass finds it.
    if (options.catchUp) this.#wantPass(0);
    const loop = {
      clock: this.#clock,
      onTrouble: (error: HoldfastError) => this.#noteTrouble(error),
      onWell: () => {
        this.#error = null;
      },
    };
    this.#direct = new Loop({ ...loop, step: () => this.#bringWaiting() });
    this.#passes = new Loop({ ...loop, step: () => this.#passWhenDue() });
  }

  get place(): StorePlace {
    return this.#watch.place;
  }

  get state(): CopyState {
    const waits = [...this.#underWay.values(), ...this.#waiting.values()];
    const since = waits.map((waiting) => waiting.since);
    if (this.#passWantedSince !== null) since.push(this.#passWantedSince);
    return {
      name: this.place.name,
      required: this.place.required,
      state: this.#stateName(),
      waiting: waits.length,
      waitingSince: since.length === 0 ? null : Math.min(...since),
      objects: this.#objects,
      bytes: this.#bytes,
      differing: [...this.#differing],
      error: this.#watch.foreign ?? this.#error,
    };
  }

  /** Something is durable in the primary. Returns at once. */
  offer(name: string, bytes: Buffer | null): void {
    const step = writeStepOf(name);
    if (step === null || this.#stop.signal.aborted || this.#watch.foreign !== null) return;
    this.#isVoid = false;
    this.#offered += 1;
    if (step === 'landmark-summaries') this.#wantPass(LAZY_PASS_DELAY_MS);
    else if (WRITE_STEPS.indexOf(step) <= WRITE_STEPS.indexOf('landmarks')) this.#keep(name, bytes);
    else this.#wantPass(PASS_DELAY_MS);
    this.begin();
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Begins to work, if it does not yet. */
  begin(): void {
    this.#hasBegun = true;
    this.#direct.wake();
    this.#passes.wake();
  }

  /** Settled when nothing is known to be lacking, or at the latest when the signal is given. */
  async settled(signal: AbortSignal): Promise<void> {
    this.#isHurried = true;
    this.#direct.rouse();
    this.#passes.rouse();
    await new Promise<void>((resolve) => {
      if (this.#isIdle || signal.aborted) return resolve();
      this.#idle.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#isHurried = false;
  }

  /** Ends after the objects that are on their way. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#direct.close(), this.#passes.close()]);
    this.#tellIdle();
  }

  get #isIdle(): boolean {
    if (this.#watch.foreign !== null || this.#stop.signal.aborted || this.#isVoid) return true;
    return this.#waiting.size === 0 && this.#underWay.size === 0 && this.#passWantedSince === null && !this.#isPassing;
  }

  #tellIdle(): void {
    if (this.#isIdle) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #stateName(): CopyState['state'] {
    if (this.#watch.foreign !== null) return 'foreign';
    if (this.#error !== null) return 'away';
    if (this.#isIdle && this.#wasInStep) return 'in-step';
    return this.#identity === null ? 'unknown' : 'catching-up';
  }

  #keep(name: string, bytes: Buffer | null): void {
    if (this.#waiting.has(name)) return;
    if (this.#waiting.size >= WAITING_MAX) {
      this.#wantPass(PASS_DELAY_MS);
      return;
    }
    const fits =
      bytes !== null && bytes.length <= AT_HAND_BYTES_MAX && this.#waitingBytes + bytes.length <= WAITING_BYTES_MAX;
    if (fits) this.#waitingBytes += bytes.length;
    this.#waiting.set(name, { name, bytes: fits ? bytes : null, since: this.#clock.now() });
  }

  #wantPass(delayMs: number): void {
    const now = this.#clock.now();
    this.#passWantedSince ??= now;
    this.#passDueAt = Math.min(this.#passDueAt, now + delayMs);
  }

  /** Brings what waits; gives how long there is nothing to do, `null` for until somebody says so. */
  async #bringWaiting(): Promise<number | null> {
    if (this.#waiting.size === 0) {
      this.#tellIdle();
      return null;
    }
    if (!(await this.#admitted())) return null;
    const parked: Waiting[] = [];
    const ends = await Promise.allSettled(Array.from({ length: LANES }, () => this.#runLane(parked)));
    for (const waiting of parked) this.#waiting.set(waiting.name, waiting);
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (this.#isHurried) this.#passes.wake();
    return parked.length === 0 ? 0 : SOURCE_RETRY_MS;
  }

  async #passWhenDue(): Promise<number | null> {
    if (this.#passWantedSince === null) {
      this.#tellIdle();
      return null;
    }
    const now = this.#clock.now();
    const isBusy = this.#waiting.size + this.#underWay.size > 0 && now < this.#passDueAt + PASS_PATIENCE_MS;
    if (now < this.#passDueAt && !this.#isHurried) return this.#passDueAt - now;
    if (isBusy) return PASS_DELAY_MS;
    if (!(await this.#admitted())) return null;
    await this.#pass();
    return 0;
  }

  /** False as long as nothing may be put there: before there is a repository, and for ever in a foreign place. */
  async #admitted(): Promise<boolean> {
    if (this.#isUnsure && !this.#isPrimaryAway()) this.#identity = null;
    if (this.#identity !== 'same') {
      this.#admission ??= this.#admit().finally(() => {
        this.#admission = null;
      });
      await this.#admission;
    }
    return this.#identity === 'same';
  }

  /** Nothing is put into a place before it is known whose it is. An empty one becomes a copy: first what makes it a repository. */
  async #admit(): Promise<void> {
    const before = this.#offered;
    const format = await readFormatBytes(this.#primary);
    // Before `init` is done there is nothing to be copied; its last object wakes us.
    this.#isVoid = format === null && this.#offered === before;
    if (format === null) {
      this.#tellIdle();
      return;
    }
    const place = { ...this.place, store: this.#watched };
    this.#isUnsure = this.#isPrimaryAway();
    try {
      this.#identity = this.#isUnsure
        ? await identifyPlace(place, format)
        : await admitPlace(this.#primary, place, format);
    } catch (error) {
      if (!isNoCopy(error)) throw error;
      this.#watch.markForeign(error as HoldfastError);
      this.#waiting.clear();
      this.#waitingBytes = 0;
      this.#passWantedSince = null;
      this.#tellIdle();
      return;
    }
    if (this.#identity === 'same') return;
    this.#identity = null;
    await this.#transferAll('keys/');
    await this.#transferAll('features/');
    await this.#transfer('format', null);
    this.#identity = 'same';
  }

  async #transferAll(prefix: string): Promise<void> {
    for await (const { name } of this.#primary.list(prefix)) await this.#transfer(name, null);
  }

  /** What the primary does not give is parked, so that what is at hand goes on: in an outage that is all new WAL. */
  async #runLane(parked: Waiting[]): Promise<void> {
    for (let next = this.#take(); next !== null && !this.#stop.signal.aborted; next = this.#take()) {
      try {
        await this.#bring(next);
        this.#underWay.delete(next.name);
        this.#waitingBytes -= next.bytes?.length ?? 0;
      } catch (error) {
        this.#underWay.delete(next.name);
        if (isPlaceTrouble(error) && !this.#watch.isAway) {
          parked.push(next);
          continue;
        }
        // It stays first in the row, with the time at which it came.
        const rest = [...this.#waiting];
        this.#waiting.clear();
        for (const [name, waiting] of [[next.name, next] as const, ...rest]) this.#waiting.set(name, waiting);
        throw error;
      }
    }
  }

  #take(): Waiting | null {
    const first = this.#waiting.values().next();
    if (first.done) return null;
    // A record that is to stand before others is put alone.
    const isAnnouncement = (name: string) => WRITE_STEPS.indexOf(writeStepOf(name)!) < WRITE_STEPS.indexOf('packs');
    if (this.#underWay.size > 0 && [...this.#underWay.keys(), first.value.name].some(isAnnouncement)) return null;
    this.#waiting.delete(first.value.name);
    this.#underWay.set(first.value.name, first.value);
    return first.value;
  }

  async #bring({ name, bytes }: Waiting): Promise<void> {
    for (const root of rootsOfWal(name)) {
      if (this.#roots.has(root)) continue;
      // One that is not there now never comes: all of them are stored before the WAL that needs them.
      if ((await this.#watched.stat(root)) === null) await this.#transfer(root, null);
      this.#roots.add(root);
    }
    const segment = segmentOfLandmarks(name);
    if (segment !== null && (await this.#watched.stat(segment)) === null) {
      // A pass brings both, in their order.
      this.#wantPass(LAZY_PASS_DELAY_MS);
      this.#passes.wake();
      return;
    }
    await this.#transfer(name, bytes);
  }

  async #transfer(name: string, bytes: Buffer | null) {
    const { outcome, bytes: sent } = await transferObject({ name, from: this.#primary, to: this.#watched, bytes });
    if (outcome === 'copied') this.#noteCopied(name, sent);
    if (outcome === 'there') this.#onHeld(name);
    if (outcome === 'differs') this.#noteDiffering(name);
    return outcome;
  }

  async #pass(): Promise<void> {
    const wanted = this.#passWantedSince;
    // What is put from here on wants another one.
    this.#passWantedSince = null;
    this.#passDueAt = Number.POSITIVE_INFINITY;
    this.#isPassing = true;
    try {
      const done = await this.#compareAndBring();
      this.#wasInStep = true;
      this.#tell({ kind: 'in-step', place: this.place.name, ...done });
    } catch (error) {
      this.#passWantedSince = wanted;
      this.#passDueAt = this.#clock.now();
      throw error;
    } finally {
      this.#isPassing = false;
    }
  }

  async #compareAndBring(): Promise<{ objects: number; bytes: number }> {
    const options = {
      ...{ from: this.#primary, to: { ...this.place, store: this.#watched }, clock: this.#clock },
      signal: this.#stop.signal,
      onObject: (object: { name: string; bytes: number }) => this.#noteCopied(object.name, object.bytes),
    };
    const { objects, bytes, differing } = await bringLacking(options);
    for (const name of differing) this.#noteDiffering(name);
    return { objects, bytes };
  }

  #noteCopied(name: string, bytes: number): void {
    this.#onHeld(name);
    this.#objects += 1;
    this.#bytes += bytes;
    this.#tell({ kind: 'copied', place: this.place.name, name, bytes });
  }

  #noteDiffering(name: string): void {
    if (this.#differing.has(name) || this.#differing.size >= WAITING_MAX) return;
    this.#differing.add(name);
    this.#tell({ kind: 'differs', place: this.place.name, name });
  }

  #noteTrouble(error: HoldfastError): void {
    this.#error = error;
    // Trouble of the copy is told by its watch, of which this may be the first to hear.
    if (!isPlaceTrouble(error)) this.#tell({ kind: 'place-away', place: this.place.name, error });
  }
}
