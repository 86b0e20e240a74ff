import type { Clock, HoldfastError } from '../../lib/index.ts';
import type {
  ObjectEntry,
  ObjectStat,
  ObjectStore,
  PlaceProtection,
  PutOutcome,
  StorePlace,
} from '../object-store/index.ts';
import { AT_HAND_BYTES_MAX, Copier, type CopyState } from './copier.ts';
import type { CopyEventSink } from './events.ts';
import { readFormatBytes } from './identity.ts';
import { PlaceReader, type ReaderKind } from './place-reader.ts';
import { isPlaceTrouble, PlaceWatch } from './place-watch.ts';
import { requireObjects, type UntilCopiedOptions } from './require-objects.ts';
import { SpooledStore } from './spooled-store.ts';
import { StandInStore } from './stand-in-store.ts';
import { admitPlace, isNoCopy } from './tell-apart.ts';
import { watched } from './watched-store.ts';

/** The name of the place that is written. */
export const PRIMARY_NAME = 'primary';

/** Whoever closes a store waits so long for required copies; what is left is found by the next comparison. */
const CLOSE_WAIT_MS_MAX = 30_000;
/** The same for a process that lives for a moment, and for which somebody waits. */
const CLOSE_BRIEFLY_MS_MAX = 5_000;

export interface CopiedStoreOptions {
  readonly primary: ObjectStore;
  /** What the place that is written is called, where a copy stands in for the primary. */
  readonly primaryName?: string;
  readonly copies: readonly StorePlace[];
  /** What else a reader reads, and which is no place of the repository: nobody compares it with the primary, or asks it for locks. */
  readonly besides?: StorePlace;
  readonly clock: Clock;
  /** What the store is opened for. A writer reads and lists the primary, a reader whatever is whole and near. */
  readonly access: ReaderKind;
  /** False for a process that lives for a moment: it brings what it puts itself, and leaves comparing to others. */
  readonly catchUp?: boolean;
  /** False for who brings to the copies itself, to those that it chooses and at its own pace: what is put goes to the primary alone. */
  readonly handsOn?: boolean;
  readonly onEvent?: CopyEventSink;
}

/** Opens a primary with its copies as one store. Nothing is touched before the first call. */
export function openCopiedStore(options: CopiedStoreOptions): CopiedStore {
  return new CopiedStore(options);
}

/** One repository in several places: `docs/copies.md` says what goes where. Whoever opened it closes it. */
export class CopiedStore implements ObjectStore {
  readonly description: string;
  readonly places: readonly StorePlace[];
  readonly createPlace?: () => Promise<void>;
  readonly protection?: () => Promise<PlaceProtection>;
  readonly #primary: ObjectStore;
  readonly #clock: Clock;
  readonly #closeMsMax: number;
  readonly #reader: PlaceReader;
  readonly #watches: readonly PlaceWatch[];
  readonly #copiers: readonly Copier[];
  /** The same repository as it can be seen while the primary is away, for whoever keeps WAL meanwhile; `null` where nothing is kept here. */
  readonly standIn: StandInStore | null;

  constructor(options: CopiedStoreOptions) {
    const { primary, copies, besides, clock, access, catchUp = true, onEvent: tell = () => {} } = options;
    const { primaryName: name = PRIMARY_NAME, handsOn = true } = options;
    this.#primary = primary;
    this.#clock = clock;
    this.#closeMsMax = catchUp ? CLOSE_WAIT_MS_MAX : CLOSE_BRIEFLY_MS_MAX;
    this.description = primary.description;
    this.places = [{ name, store: primary, required: true }, ...copies];
    const read = besides === undefined ? this.places : [...this.places, besides];
    this.#watches = read.map((place, i) => new PlaceWatch({ place, isPrimary: i === 0, clock, tell }));
    this.#reader = new PlaceReader({ watches: this.#watches, clock, kind: access, tell });
    const fed = handsOn ? this.#watches.slice(1, this.places.length) : [];
    this.#copiers = fed.map((watch) => {
      // What waits on this machine is safe once a required copy has it.
      const onHeld = (name: string) => {
        if (watch.place.required && primary instanceof SpooledStore) primary.noteHeld(name);
      };
      const isPrimaryAway = () => primary instanceof SpooledStore && primary.isAway;
      return new Copier({ primary, watch, clock, tell, catchUp, onHeld, isPrimaryAway });
    });
    const watches = this.#watches;
    this.standIn =
      primary instanceof SpooledStore && copies.length > 0
        ? new StandInStore({ written: this, spool: primary, watches, clock, tell })
        : null;
    // What a process of before left here may be in no copy yet.
    if (primary instanceof SpooledStore) {
      primary.listen((event) => {
        if (event.kind === 'found') for (const name of event.names) this.#offer(name, null);
      });
    }
    if (primary.createPlace !== undefined) this.createPlace = () => primary.createPlace!();
    if (primary.protection !== undefined) this.protection = () => primary.protection!();
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    const outcome = await this.#primary.putIfAbsent(name, parts);
    // Of what was there already these need not be the bytes.
    this.#offer(name, outcome === 'created' ? keepSmall(parts instanceof Uint8Array ? [parts] : parts) : null);
    return outcome;
  }

  async putFileIfAbsent(name: string, path: string): Promise<PutOutcome> {
    const outcome = await this.#primary.putFileIfAbsent(name, path);
    this.#offer(name, null);
    return outcome;
  }

  spoolDirectory(): Promise<string> {
    return this.#primary.spoolDirectory();
  }

  get(name: string): Promise<Buffer> {
    return this.#reader.read(name, (from) => from.get(name));
  }

  getRange(name: string, offset: number, length: number): Promise<Buffer> {
    return this.#reader.read(name, (from) => from.getRange(name, offset, length));
  }

  stat(name: string): Promise<ObjectStat | null> {
    return this.#reader.stat(name);
  }

  list(prefix: string, options: { startAfter?: string; hidden?: boolean } = {}): AsyncIterable<ObjectEntry> {
    return this.#reader.list(prefix, options);
  }

  delete(name: string): Promise<void> {
    return this.#primary.delete(name);
  }

  putVolatile(name: string, body: Uint8Array): Promise<void> {
    return this.#primary.putVolatile(name, body);
  }

  now(): Promise<number> {
    return this.#reader.now();
  }

  readProved<T>(name: string, read: (from: ObjectStore) => Promise<T>): Promise<T> {
    return this.#reader.readProved(name, read);
  }

  get listingsWithoutPrimary(): number {
    return this.#reader.listingsWithoutPrimary;
  }

  /** What is known of each copy, from memory alone. */
  get copyStates(): CopyState[] {
    return this.#copiers.map((copier) => copier.state);
  }

  /** Begins to bring what the copies lack, before anything is put. For whoever runs long enough. */
  beginCatchUp(): void {
    for (const copier of this.#copiers) copier.begin();
  }

  /**
   * Finds out whether every copy that answers is one of this repository, before anything is put there.
   *
   * Errors: `REPOSITORY_COPY_FOREIGN`, `REPOSITORY_COPY_SAME`; those of the primary. A place that does not answer is told as an event.
   */
  async checkCopies(): Promise<void> {
    const format = await readFormatBytes(this.#primary);
    if (format === null) return;
    for (const watch of this.#watches.slice(1)) {
      try {
        await admitPlace(this.#primary, watched(watch), format);
      } catch (error) {
        if (isNoCopy(error)) watch.markForeign(error as HoldfastError);
        // What it lacks is brought when it answers.
        if (!isPlaceTrouble(error)) throw error;
      }
    }
  }

  /**
   * Waits until every required copy holds these objects: names, or prefixes that end in a slash, in the order in which they need each other.
   * It is found out by comparing, and what is lacking is brought.
   *
   * Errors: `REPOSITORY_COPY_AWAY` when a copy gets no further; `REPOSITORY_COPY_FOREIGN`; `REPOSITORY_COPY_DIFFERS` when a copy has other bytes
   * under one of the names; those of the primary.
   */
  async untilCopied(wanted: readonly string[], options: UntilCopiedOptions = {}): Promise<void> {
    const required = this.#watches.slice(1).filter(({ place }) => place.required);
    await Promise.all(
      required.map((watch) => requireObjects({ ...options, from: this.#primary, watch, wanted, clock: this.#clock })),
    );
  }

  /** Settled when no copy (no required one, if asked so) is known to lack anything, or after so long; gives the states then. */
  async settled(options: { requiredOnly?: boolean; msMax?: number } = {}): Promise<CopyState[]> {
    const end = new AbortController();
    const asked = this.#copiers.filter(({ place }) => place.required || options.requiredOnly !== true);
    const all = Promise.all(asked.map((copier) => copier.settled(end.signal)));
    await Promise.race([all, ...(options.msMax === undefined ? [] : [this.#clock.sleep(options.msMax, end.signal)])]);
    end.abort();
    return this.copyStates;
  }

  /** Gives required copies a while for what they lack, and ends. Nothing is lost by ending: what is left is found by comparing. */
  async close(): Promise<void> {
    if (this.#copiers.some((copier) => copier.hasBegun))
      await this.settled({ requiredOnly: true, msMax: this.#closeMsMax });
    await Promise.all(this.#copiers.map((copier) => copier.close()));
  }

  #offer(name: string, bytes: Buffer | null): void {
    for (const copier of this.#copiers) copier.offer(name, bytes);
  }
}

/** Whoever put an object may use its memory again: what is small is kept, the rest is fetched when its turn comes. */
function keepSmall(parts: readonly Uint8Array[]): Buffer | null {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return bytes > AT_HAND_BYTES_MAX ? null : Buffer.concat(parts);
}
