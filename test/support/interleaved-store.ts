import type { ObjectEntry, ObjectStore } from '../../src/repository/index.ts';
import type { ManualClock } from './manual-clock.ts';
import type { Random } from './seeded-random.ts';
import { StoreStopped } from './stopping-store.ts';

/** One of several programs that share a store, of which another one does something at each of its calls. */
export interface Actor {
  readonly name: string;
  readonly store: ObjectStore;
  /** Ends for it at its next call, as `kill -9` would. */
  isKilled: boolean;
  /** It stands still until then, by the clock of all. */
  standsUntil: number;
}

/** How likely what is at each step, in thousandths, and for how long. */
export interface Whims {
  readonly advance: number;
  readonly advanceMs: readonly number[];
  readonly stand: number;
  readonly standMs: readonly number[];
  /** Calls before which it is likelier, how many times as likely, and for how long at most; the first that fits counts. */
  readonly standBefore?: readonly { readonly calls: RegExp; readonly times: number; readonly msMax?: number }[];
  readonly kill: number;
}

interface Waiting {
  readonly actor: Actor;
  readonly what: string;
  readonly go: () => void;
}

/** Rounds of the event loop without anything new, after which all actors are taken to wait for their stores. */
const QUIET_ROUNDS = 3;
/** Steps after which a run counts as one that never ends. */
const STEPS_MAX = 200_000;

/**
 * Lets programs share a store in an order that a seed decides: each call of each of them waits until it is let go, one at a time. Time is the clock's, and passes
 * only when nobody is at work.
 */
export class Interleaving {
  readonly #inner: ObjectStore;
  readonly #clock: ManualClock;
  readonly #random: Random;
  readonly #whims: Whims;
  readonly #actors: Actor[] = [];
  readonly #waiting: Waiting[] = [];
  readonly #history: { name: string; entry: ObjectEntry; from: number; to: number }[] = [];
  readonly trace: string[] = [];
  #underWay = 0;
  #arrivals = 0;
  #running = 0;

  constructor(options: { inner: ObjectStore; clock: ManualClock; random: Random; whims: Whims }) {
    this.#inner = options.inner;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#whims = options.whims;
  }

  /** `staleMs`: its listings are up to so much too old. */
  addActor(name: string, options: { staleMs?: number } = {}): Actor {
    const actor: Actor = { name, store: this.#inner, isKilled: false, standsUntil: 0 };
    const store = this.#wrap(actor, options.staleMs ?? 0);
    const made = Object.assign(actor, { store });
    this.#actors.push(made);
    return made;
  }

  /** Runs programs to their ends. */
  async run(programs: readonly (() => Promise<void>)[]): Promise<void> {
    const failures: unknown[] = [];
    for (const program of programs) {
      this.#running += 1;
      void program()
        .catch((error: unknown) => failures.push(error))
        .finally(() => {
          this.#running -= 1;
          this.#arrivals += 1;
        });
    }
    for (let step = 0; this.#running > 0; step++) {
      if (step > STEPS_MAX) throw new Error('the programs do not come to an end');
      await this.#untilQuiet();
      if (failures.length > 0) throw failures[0];
      if (this.#running > 0) await this.#step();
    }
    if (failures.length > 0) throw failures[0];
  }

  async #step(): Promise<void> {
    const { advance, advanceMs, standMs, standBefore, kill } = this.#whims;
    const able = this.#waiting.filter(({ actor }) => actor.isKilled || actor.standsUntil <= this.#clock.now());
    const chance = this.#random.below(1000);
    if (able.length === 0) {
      const next = Math.min(...this.#waiting.map(({ actor }) => actor.standsUntil));
      const ms = Number.isFinite(next) ? Math.max(1000, next - this.#clock.now()) : 60_000;
      return this.#clock.advance(ms);
    }
    if (chance < advance) return this.#clock.advance(this.#random.pick(advanceMs));
    const chosen = this.#random.pick(able);
    const before = standBefore?.find(({ calls }) => calls.test(chosen.what));
    const stand = this.#whims.stand * (before?.times ?? 1);
    if (chance < advance + stand) {
      const ms = Math.min(this.#random.pick(standMs), before?.msMax ?? Number.POSITIVE_INFINITY);
      this.trace.push(`${chosen.actor.name} stands still for ${ms / 60_000} min before ${chosen.what}`);
      chosen.actor.standsUntil = this.#clock.now() + ms;
      return;
    }
    if (chance < advance + stand + kill && !chosen.actor.isKilled) {
      this.trace.push(`${chosen.actor.name} is killed before ${chosen.what}`);
      chosen.actor.isKilled = true;
    }
    this.#waiting.splice(this.#waiting.indexOf(chosen), 1);
    if (!chosen.actor.isKilled) this.trace.push(`${chosen.actor.name} ${chosen.what}`);
    chosen.go();
  }

  /** Everybody waits for their store, or for time. */
  async #untilQuiet(): Promise<void> {
    let before = -1;
    for (let quiet = 0; quiet < QUIET_ROUNDS; ) {
      await new Promise(setImmediate);
      const isQuiet = this.#underWay === 0 && this.#arrivals === before;
      quiet = isQuiet ? quiet + 1 : 0;
      before = this.#arrivals;
    }
  }

  async #gate(actor: Actor, what: string): Promise<void> {
    this.#arrivals += 1;
    await new Promise<void>((resolve) => this.#waiting.push({ actor, what, go: resolve }));
    if (actor.isKilled) throw new StoreStopped(`${actor.name} was killed`);
  }

  #wrap(actor: Actor, staleMs: number): ObjectStore {
    const inner = this.#inner;
    return new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name === 'list') {
          return (prefix: string, options: { startAfter?: string } = {}) =>
            this.#list(actor, prefix, options.startAfter ?? '', staleMs);
        }
        return async (...given: unknown[]): Promise<unknown> => {
          await this.#gate(actor, `${String(name)} ${String(given[0] ?? '')}`.trimEnd().slice(0, 60));
          this.#underWay += 1;
          try {
            return await this.#note(String(name), String(given[0]), () => value.apply(target, given));
          } finally {
            this.#underWay -= 1;
            this.#arrivals += 1;
          }
        };
      },
    });
  }

  /** Keeps what listings of the past were like. */
  async #note(call: string, name: string, act: () => Promise<unknown>): Promise<unknown> {
    const result = await act();
    const known = this.#history.findLast((each) => each.name === name && each.to === Number.POSITIVE_INFINITY);
    if (call.startsWith('put') && known === undefined) {
      const stat = await this.#inner.stat(name);
      const from = this.#clock.now();
      if (stat !== null) this.#history.push({ name, entry: { name, ...stat }, from, to: Number.POSITIVE_INFINITY });
    }
    if (call === 'delete' && known !== undefined) known.to = this.#clock.now();
    return result;
  }

  async *#list(actor: Actor, prefix: string, startAfter: string, staleMs: number): AsyncGenerator<ObjectEntry, void> {
    await this.#gate(actor, `list ${prefix}`);
    if (staleMs > 0 && this.#random.below(3) === 0) {
      const at = this.#clock.now() - this.#random.below(staleMs);
      const old = this.#history.filter(
        ({ name, from, to }) => name.startsWith(prefix) && name > startAfter && from <= at && to > at,
      );
      yield* old.map(({ entry }) => entry).sort((a, b) => (a.name < b.name ? -1 : 1));
      return;
    }
    const entries: ObjectEntry[] = [];
    this.#underWay += 1;
    for await (const entry of this.#inner.list(prefix, { startAfter })) entries.push(entry);
    this.#underWay -= 1;
    this.#arrivals += 1;
    yield* entries;
  }
}
