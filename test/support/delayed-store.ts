import { setTimeout as delay } from 'node:timers/promises';
import type { ObjectStore } from '../../src/repository/index.ts';

/** Calls that ask nothing of the place itself: no store makes a round trip for them. */
const LOCAL_CALLS: ReadonlySet<string> = new Set(['spoolDirectory']);

/** One call, as far as it is about who waits for whom. */
export interface DelayedCall {
  /** Such as `get keys/…`. */
  readonly what: string;
  /** Calls that had to be over before this one began, this one included: its place in the longest row. */
  readonly row: number;
}

/** A store that answers late, and what was asked of it. */
export interface DelayedStore {
  readonly store: ObjectStore;
  readonly calls: readonly DelayedCall[];
  /**
   * The length of the longest row of calls of which each began when the one before was over. As long as the delay is far longer than what the
   * program itself does between two calls, these are the calls that wait for each other, and row × delay is the time that the delay costs.
   */
  readonly callsInARow: number;
  /** The most that was asked for by ranges at the same moment, and the most that was being put, in bytes. */
  readonly rangeBytesMax: number;
  readonly putBytesMax: number;
  /** Waits for the last calls in one longest row, the first one first: what to look at when it is to become shorter. */
  longestRow(): string[];
  /** Forgets what was counted so far. */
  reset(): void;
}

/** Every call of `inner` begins after half of the delay and is answered after the other half, as over a long line; a listing costs one for each 1,000 names. */
export function delayStore(inner: ObjectStore, delayMs: number): DelayedStore {
  const counter = new RowCounter();
  const later = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    const call = counter.begin(what);
    try {
      await delay(delayMs / 2);
      const answer = await act();
      await delay(delayMs / 2);
      return answer;
    } finally {
      counter.end(call);
    }
  };
  const store = new Proxy(inner, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (typeof name !== 'string' || LOCAL_CALLS.has(name)) return value.bind(target);
      if (name === 'list') {
        return (prefix: string, options?: { startAfter?: string }) => listLate(target, prefix, options ?? {}, later);
      }
      return (...given: unknown[]) => {
        const bytes = counter.bytesOf(name, given);
        bytes.take();
        return later(`${name} ${String(given[0] ?? '')}`.trimEnd(), () => value.apply(target, given)).finally(
          bytes.give,
        );
      };
    },
  });
  return {
    store,
    get calls() {
      return counter.calls;
    },
    get callsInARow() {
      return counter.longest;
    },
    get rangeBytesMax() {
      return counter.ranges.most;
    },
    get putBytesMax() {
      return counter.puts.most;
    },
    longestRow: () => counter.longestRow(),
    reset: () => counter.reset(),
  };
}

/** As many names as a store gives in one answer. */
const PAGE_NAMES = 1000;

async function* listLate(
  inner: ObjectStore,
  prefix: string,
  options: { startAfter?: string },
  later: <T>(what: string, act: () => Promise<T>) => Promise<T>,
) {
  const entries = inner.list(prefix, options)[Symbol.asyncIterator]();
  for (;;) {
    const page = await later(`list ${prefix}`, async () => {
      const taken = [];
      while (taken.length < PAGE_NAMES) {
        const next = await entries.next();
        if (next.done === true) break;
        taken.push(next.value);
      }
      return taken;
    });
    yield* page;
    if (page.length < PAGE_NAMES) return;
  }
}

interface Counted extends DelayedCall {
  /** The call after whose end this one began, and which was the last of its row. */
  readonly after: Counted | null;
}

class RowCounter {
  calls: Counted[] = [];
  readonly ranges = new Gauge();
  readonly puts = new Gauge();
  #last: Counted | null = null;

  get longest(): number {
    return this.calls.reduce((most, { row }) => Math.max(most, row), 0);
  }

  begin(what: string): Counted {
    const call = { what, row: (this.#last?.row ?? 0) + 1, after: this.#last };
    this.calls.push(call);
    return call;
  }

  end(call: Counted): void {
    if (call.row > (this.#last?.row ?? 0)) this.#last = call;
  }

  bytesOf(name: string, given: readonly unknown[]): { take(): void; give(): void } {
    if (name === 'getRange') return this.ranges.of(Number(given[2]));
    if (name === 'putIfAbsent') return this.puts.of(lengthOf(given[1] as Uint8Array | readonly Uint8Array[]));
    return this.ranges.of(0);
  }

  longestRow(): string[] {
    const row: string[] = [];
    const longest = this.calls.find((call) => call.row === this.longest) ?? null;
    for (let call: Counted | null = longest; call !== null; call = call.after) row.unshift(call.what);
    return row;
  }

  reset(): void {
    this.calls = [];
    this.#last = null;
    this.ranges.most = 0;
    this.puts.most = 0;
  }
}

/** What is taken at the same moment, and the most that it ever was. */
class Gauge {
  most = 0;
  #now = 0;

  of(amount: number): { take(): void; give(): void } {
    return {
      take: () => {
        this.#now += amount;
        this.most = Math.max(this.most, this.#now);
      },
      give: () => {
        this.#now -= amount;
      },
    };
  }
}

function lengthOf(parts: Uint8Array | readonly Uint8Array[]): number {
  return parts instanceof Uint8Array ? parts.length : parts.reduce((bytes, part) => bytes + part.length, 0);
}
