import type { TestContext } from 'node:test';
import { type Clock, HoldfastError, systemClock } from '../../src/lib/index.ts';
import {
  type CopiedStore,
  type CopyEvent,
  memoryStore,
  type ObjectStore,
  openCopiedStore,
} from '../../src/repository/index.ts';

/** A place behind a line that a test can cut. */
export interface CuttablePlace {
  readonly name: string;
  /** What the line leads to. */
  readonly inner: ObjectStore;
  readonly store: ObjectStore;
  readonly required: boolean;
  isCut: boolean;
  /** Calls that came through, as `putIfAbsent packs/…`. */
  readonly calls: string[];
}

/** A place whose every call fails as a network does while it is cut. */
export function cuttablePlace(name: string, options: { inner?: ObjectStore; required?: boolean } = {}): CuttablePlace {
  const inner = options.inner ?? memoryStore();
  const calls: string[] = [];
  const away = (call: string) =>
    new HoldfastError('STORE_UNAVAILABLE', `could not ${call} in "${name}": the line is cut`, { retryable: true });
  const place = { name, inner, required: options.required ?? false, isCut: false, calls };
  const store = new Proxy(inner, {
    get(target, call) {
      const value: unknown = Reflect.get(target, call, target);
      if (typeof value !== 'function' || call === 'spoolDirectory')
        return typeof value === 'function' ? value.bind(target) : value;
      if (call === 'list')
        return (...given: unknown[]) => listThrough(place, () => value.apply(target, given), away('list'));
      return async (...given: unknown[]): Promise<unknown> => {
        if (place.isCut) throw away(String(call));
        calls.push(`${String(call)} ${String(given[0] ?? '')}`.trimEnd());
        return value.apply(target, given);
      };
    },
  });
  return Object.assign(place, { store });
}

async function* listThrough(place: { isCut: boolean }, list: () => AsyncIterable<unknown>, error: HoldfastError) {
  if (place.isCut) throw error;
  for await (const entry of list()) {
    yield entry;
    if (place.isCut) throw error;
  }
}

/** A store of a primary and copies in memory, and what it told. It is closed with the test. */
export interface SeveralPlaces {
  readonly store: CopiedStore;
  readonly primary: CuttablePlace;
  readonly copies: readonly CuttablePlace[];
  readonly events: CopyEvent[];
  /** The same places, opened once more. */
  open(access: 'read' | 'write', options?: { catchUp?: boolean }): CopiedStore;
}

export function severalPlaces(
  test: TestContext,
  options: {
    copies?: readonly CuttablePlace[];
    primary?: CuttablePlace;
    access?: 'read' | 'write';
    clock?: Clock;
    catchUp?: boolean;
  } = {},
): SeveralPlaces {
  const primary = options.primary ?? cuttablePlace('primary');
  const copies = options.copies ?? [cuttablePlace('elsewhere', { required: true })];
  const events: CopyEvent[] = [];
  const open = (access: 'read' | 'write', given: { catchUp?: boolean } = {}) => {
    const store = openCopiedStore({
      primary: primary.store,
      copies,
      clock: options.clock ?? systemClock,
      access,
      ...given,
      onEvent: (event) => events.push(event),
    });
    test.after(() => store.close());
    return store;
  };
  const given = options.catchUp === undefined ? {} : { catchUp: options.catchUp };
  return { store: open(options.access ?? 'write', given), primary, copies, events, open };
}

/** What is about the place that it lies in, and never copied. */
const OF_ONE_PLACE = ['volatile/', 'tombstones/', 'snapshots/forgotten/'];

/** Every object of a store but those about one place alone, by name. */
export async function objectsOf(store: ObjectStore): Promise<Map<string, string>> {
  const objects = new Map<string, string>();
  for await (const { name } of store.list(''))
    if (!OF_ONE_PLACE.some((prefix) => name.startsWith(prefix)))
      objects.set(name, (await store.get(name)).toString('base64'));
  return objects;
}

/** The names that a store lists. */
export async function namesIn(store: ObjectStore, prefix = ''): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list(prefix)) names.push(name);
  return names;
}
