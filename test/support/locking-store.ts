import { HoldfastError } from '../../src/lib/index.ts';
import type { LockRule, ObjectLock, ObjectStore, PlaceProtection } from '../../src/repository/index.ts';

/** A store that keeps locks beside a real one: what is put is locked by the rule, and only `cut` shortens. */
export class LockingStore implements ObjectStore {
  readonly description: string;
  readonly lock: ObjectLock;
  readonly #store: ObjectStore;
  readonly #rule: LockRule;
  readonly #locks = new Map<string, number>();
  /** Requests about locks, by what they ask for. */
  readonly asked: string[] = [];
  readonly extended: string[] = [];
  /** What the server does with a request to extend: it does it, forgets it, or refuses it. */
  behaviour: 'keeps' | 'forgets' | 'denies' | 'has-none' = 'keeps';

  constructor(store: ObjectStore, rule: LockRule) {
    this.description = store.description;
    this.#store = store;
    this.#rule = rule;
    this.lock = {
      lockFor: rule,
      until: async (name) => {
        this.asked.push(name);
        if (this.behaviour === 'has-none') throw new HoldfastError('STORE_LOCK_ABSENT', 'cannot lock objects here');
        await store.getRange(name, 0, 0);
        return this.#locks.get(name) ?? null;
      },
      extend: async (name, until) => {
        this.extended.push(name);
        if (this.behaviour === 'denies') throw new HoldfastError('STORE_DENIED', 'cannot lock: denied');
        await store.getRange(name, 0, 0);
        if (this.behaviour === 'keeps') this.#locks.set(name, Math.max(until, this.#locks.get(name) ?? 0));
      },
    };
  }

  /** What only the owner of a place could do. */
  cut(name: string, until: number | null): void {
    if (until === null) this.#locks.delete(name);
    else this.#locks.set(name, until);
  }

  async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]) {
    const outcome = await this.#store.putIfAbsent(name, parts);
    if (outcome === 'created') await this.#lockNew(name);
    return outcome;
  }

  async putFileIfAbsent(name: string, path: string) {
    const outcome = await this.#store.putFileIfAbsent(name, path);
    if (outcome === 'created') await this.#lockNew(name);
    return outcome;
  }

  get(name: string) {
    return this.#store.get(name);
  }

  getRange(name: string, offset: number, length: number) {
    return this.#store.getRange(name, offset, length);
  }

  spoolDirectory() {
    return this.#store.spoolDirectory();
  }

  stat(name: string) {
    return this.#store.stat(name);
  }

  list(prefix: string, options: { startAfter?: string } = {}) {
    return this.#store.list(prefix, options);
  }

  delete(name: string) {
    return this.#store.delete(name);
  }

  putVolatile(name: string, body: Uint8Array) {
    return this.#store.putVolatile(name, body);
  }

  now() {
    return this.#store.now();
  }

  async protection(): Promise<PlaceProtection> {
    return { versioning: 'on', lock: this.behaviour === 'has-none' ? 'off' : 'on' };
  }

  async #lockNew(name: string): Promise<void> {
    const period = this.#rule(name);
    if (period !== null) this.#locks.set(name, (await this.#store.now()) + period);
  }
}
