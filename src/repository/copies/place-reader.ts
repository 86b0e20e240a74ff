import { type Clock, HoldfastError } from '../../lib/index.ts';
import {
  isAbsent,
  isDamageOfOnePlace,
  isFragment,
  isVolatile,
  type ObjectEntry,
  type ObjectStat,
  type ObjectStore,
  readProved,
} from '../object-store/index.ts';
import type { CopyEventSink } from './events.ts';
import { greetPlaces } from './greet-places.ts';
import { mergeListings } from './merge-listings.ts';
import { isPlaceTrouble, type PlaceWatch } from './place-watch.ts';
import { WaitingStore } from './waiting-store.ts';

/** A place that has not answered for so long gets company: the next one is asked, too, and the first good answer counts. */
const HEDGE_MS = 10_000;
/** What was told about objects is remembered for so many of them, so that each is told once. */
const TOLD_MAX = 10_000;

/** Who reads: whoever writes builds only on what the primary holds, and asks others for content alone. */
export type ReaderKind = 'read' | 'write';

interface Failure {
  readonly watch: PlaceWatch;
  readonly error: HoldfastError;
}

type Outcome<T> = { kind: 'answer'; watch: PlaceWatch; value: T } | ({ kind: 'failure' } & Failure) | { kind: 'hedge' };

/** Reads from several places as if they were one. */
export class PlaceReader {
  readonly #watches: readonly PlaceWatch[];
  readonly #clock: Clock;
  readonly #kind: ReaderKind;
  readonly #tell: CopyEventSink;
  readonly #told = new Set<string>();
  #greeting: Promise<void> | null = null;
  #listingsWithoutPrimary = 0;

  constructor(options: { watches: readonly PlaceWatch[]; clock: Clock; kind: ReaderKind; tell: CopyEventSink }) {
    this.#watches = options.watches;
    this.#clock = options.clock;
    this.#kind = options.kind;
    this.#tell = options.tell;
  }

  get listingsWithoutPrimary(): number {
    return this.#listingsWithoutPrimary;
  }

  get #primary(): PlaceWatch {
    return this.#watches[0]!;
  }

  /** Reads and proves; the next place is asked for what one does not have, does not give, or gives damaged. Errors: as `readProved`. */
  async readProved<T>(
    name: string,
    read: (from: ObjectStore) => Promise<T>,
    options: { isSmall?: boolean } = {},
  ): Promise<T> {
    if (isVolatile(name)) return readProved(this.#primary.place.store, name, read);
    const order = await this.#order();
    const failures: Failure[] = [];
    const underWay = new Map<PlaceWatch, Promise<Outcome<T>>>();
    const stopHedge = new AbortController();
    let next = 0;
    try {
      for (;;) {
        const watch = underWay.size === 0 ? order[next] : undefined;
        if (watch !== undefined) {
          next += 1;
          underWay.set(watch, attempt(watch, name, read, options));
        }
        if (underWay.size === 0) throw this.#worst(name, failures);
        const hedge = this.#kind === 'read' && next < order.length ? [this.#hedge(stopHedge.signal)] : [];
        const outcome = await Promise.race([...underWay.values(), ...hedge]);
        if (outcome.kind === 'hedge') {
          const company = order[next++]!;
          underWay.set(company, attempt(company, name, read, options));
        } else if (outcome.kind === 'answer') {
          this.#noteFailures(name, failures, outcome.watch);
          return outcome.value;
        } else {
          underWay.delete(outcome.watch);
          failures.push(outcome);
          // For a writer the primary's word that there is nothing is the last one.
          if (this.#kind === 'write' && outcome.watch.isPrimary && isAbsent(outcome.error)) throw outcome.error;
        }
      }
    } finally {
      stopHedge.abort();
    }
  }

  /** The same without a proof: a writer takes the primary's bytes, whatever others have. */
  read<T>(name: string, read: (from: ObjectStore) => Promise<T>, options: { isSmall?: boolean } = {}): Promise<T> {
    return this.#kind === 'write' ? read(this.#primary.place.store) : this.readProved(name, read, options);
  }

  async stat(name: string): Promise<ObjectStat | null> {
    if (this.#kind === 'write' || isVolatile(name)) return this.#primary.place.store.stat(name);
    let trouble: HoldfastError | null = null;
    let hasAnswered = false;
    for (const watch of await this.#order()) {
      try {
        const stat = await watch.use(() => watch.place.store.stat(name), { isSmall: true });
        if (stat !== null) return stat;
        hasAnswered = true;
      } catch (error) {
        if (!isPlaceTrouble(error)) throw error;
        trouble ??= error;
      }
    }
    if (!hasAnswered && trouble !== null) throw trouble;
    return null;
  }

  /** The union of what can be reached, for a reader; one place that cannot is told as an event. Errors: when no place can be listed. */
  async *list(prefix: string, options: { startAfter?: string; hidden?: boolean }): AsyncGenerator<ObjectEntry, void> {
    if (this.#kind === 'write') {
      yield* this.#primary.place.store.list(prefix, options);
      return;
    }
    const all = await this.#order();
    const answering = all.filter((watch) => !watch.isAvoided);
    const asked = answering.length === 0 ? all : answering;
    if (!asked.includes(this.#primary)) this.#listingsWithoutPrimary += 1;
    const troubles: HoldfastError[] = [];
    const noteTrouble = (watch: PlaceWatch, error: HoldfastError) => {
      troubles.push(error);
      if (watch.isPrimary) this.#listingsWithoutPrimary += 1;
    };
    const listings = asked.map((watch) => listGuarded(watch, prefix, options, (error) => noteTrouble(watch, error)));
    for await (const { entries } of mergeListings(listings)) yield entries.find((entry) => entry !== null)!;
    if (troubles.length === asked.length) throw troubles[0]!;
  }

  /** The store's time: of the primary, and for a reader of another place when that one is away. */
  async now(): Promise<number> {
    if (this.#kind === 'write') return this.#primary.place.store.now();
    return this.readProved('format', (from) => from.now(), { isSmall: true });
  }

  /** Nearest first; a writer's primary is first of all. Places of other repositories are never asked. */
  async #order(): Promise<PlaceWatch[]> {
    if (this.#kind === 'read') {
      this.#greeting ??= greetPlaces(this.#watches, this.#clock);
      await this.#greeting;
    }
    const usable = this.#watches.filter(({ foreign }) => foreign === null);
    const isFirst = (watch: PlaceWatch) => this.#kind === 'write' && watch.isPrimary;
    return usable.sort((a, b) => Number(isFirst(b)) - Number(isFirst(a)) || compareRanks(a, b));
  }

  async #hedge(signal: AbortSignal): Promise<{ kind: 'hedge' }> {
    await this.#clock.sleep(HEDGE_MS, signal);
    return { kind: 'hedge' };
  }

  #noteFailures(name: string, failures: readonly Failure[], healthy: PlaceWatch): void {
    for (const { watch, error } of failures) {
      if (isDamageOfOnePlace(error)) this.#noteDamage(name, { watch, error }, healthy.place.name);
      // A copy that is behind is told by its lag; and fragments go from the primary when they are joined.
      // What waits on this machine is not in the primary yet.
      else if (
        isAbsent(error) &&
        watch.isPrimary &&
        !isFragment(name) &&
        !(healthy.place.store instanceof WaitingStore)
      )
        this.#once(`missing ${name}`, () =>
          this.#tell({ kind: 'missing', place: watch.place.name, name, healthy: healthy.place.name }),
        );
    }
  }

  #noteDamage(name: string, { watch, error }: Failure, healthy: string | null): void {
    const place = watch.place.name;
    this.#once(`damaged ${place} ${name}`, () => this.#tell({ kind: 'damaged', place, name, error, healthy }));
  }

  #once(what: string, tell: () => void): void {
    if (this.#told.has(what)) return;
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.add(what);
    tell();
  }

  /** What is to be said when no place could give it: damage before absence, absence before silence. */
  #worst(name: string, failures: readonly Failure[]): HoldfastError {
    for (const failure of failures) if (isDamageOfOnePlace(failure.error)) this.#noteDamage(name, failure, null);
    const damaged = failures.find(({ error }) => isDamageOfOnePlace(error));
    const absent = failures.find(({ error }) => isAbsent(error));
    const [first] = failures;
    const said = damaged ?? absent ?? first;
    if (said === undefined)
      throw new HoldfastError('STORE_FAILED', `could not read object "${name}": no place may be asked`);
    const silent = failures.filter(({ error }) => isPlaceTrouble(error));
    return silent.length === 0 || isPlaceTrouble(said.error) ? said.error : withSilence(said.error, silent);
  }
}

async function attempt<T>(
  watch: PlaceWatch,
  name: string,
  read: (from: ObjectStore) => Promise<T>,
  options: { isSmall?: boolean },
): Promise<Outcome<T>> {
  try {
    return { kind: 'answer', watch, value: await watch.use(() => readProved(watch.place.store, name, read), options) };
  } catch (error) {
    if (isPlaceTrouble(error) || isAbsent(error) || isDamageOfOnePlace(error)) return { kind: 'failure', watch, error };
    throw error;
  }
}

/** A listing that ends where its place fails. What is volatile counts in the primary alone. */
async function* listGuarded(
  watch: PlaceWatch,
  prefix: string,
  options: { startAfter?: string; hidden?: boolean },
  onTrouble: (error: HoldfastError) => void,
): AsyncGenerator<ObjectEntry, void> {
  if (!watch.isPrimary && isVolatile(prefix)) return;
  try {
    for await (const entry of watch.place.store.list(prefix, options)) {
      if (watch.isPrimary || !isVolatile(entry.name)) yield entry;
    }
    watch.answered(null);
  } catch (error) {
    if (!isPlaceTrouble(error)) throw error;
    watch.failed(error);
    onTrouble(error);
  }
}

function compareRanks(a: PlaceWatch, b: PlaceWatch): number {
  // Both infinite: neither answers, and their difference would be no number.
  if (a.rank === b.rank) return Number(b.isPrimary) - Number(a.isPrimary);
  return a.rank < b.rank ? -1 : 1;
}

function withSilence(error: HoldfastError, silent: readonly Failure[]): HoldfastError {
  const names = silent.map(({ watch }) => `"${watch.place.name}"`).join(', ');
  return new HoldfastError(error.code, error.message, {
    detail: `${error.detail ?? ''} Places that could not be asked: ${names}.`.trim(),
    hints: error.hints,
    retryable: error.retryable,
    cause: error,
  });
}
