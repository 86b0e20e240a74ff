import { formatSegmentName, segmentNumberOf } from '../../../postgres/index.ts';
import { isHeldAlike, type ObjectStore, type StorePlace } from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import { fragmentsPrefix, parseWalObjectName, segmentObjectName } from '../object-names.ts';

/** Copies are looked at when so many segments were stored since: often enough for fragments to be few, seldom enough to cost nothing. */
const SEGMENTS_PER_SWEEP = 16;

/**
 * Removes from each copy the fragments that it has as a whole segment too. The primary's own go when they are joined, and a deletion there reaches no
 * copy: without this a copy would keep all WAL twice.
 *
 * Each copy is judged by what lies in it: a fragment goes when its segment, brought and verified there, is the object that the primary has:
 * of the same size and with the same id.
 */
export class CopySweep {
  readonly #store: ObjectStore;
  readonly #stop = new AbortController();
  #segments = 0;
  #sweeping: Promise<void> | null = null;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** A segment of the lineage was stored. */
  noteSegment(lineage: LineageInventory): void {
    this.#segments += 1;
    if (this.#segments >= SEGMENTS_PER_SWEEP) this.start(lineage);
  }

  /** Begins to sweep, unless it does already. */
  start(lineage: LineageInventory): void {
    const copies = (this.#store.places ?? []).slice(1);
    if (copies.length === 0 || this.#sweeping !== null) return;
    this.#segments = 0;
    this.#sweeping = this.#sweepAll(copies, lineage).finally(() => {
      this.#sweeping = null;
    });
  }

  /** What is not swept is left to the next receiver. */
  cut(): void {
    this.#stop.abort();
  }

  async settled(): Promise<void> {
    await this.#sweeping;
  }

  async #sweepAll(copies: readonly StorePlace[], lineage: LineageInventory): Promise<void> {
    const [primary] = this.#store.places!;
    for (const copy of copies) {
      try {
        await sweepCopy({ primary: primary!.store, copy: copy.store, lineage, signal: this.#stop.signal });
      } catch {
        // A copy that is away or does not let go costs space, and whoever brings WAL there tells of it. The next sweep tries again.
      }
    }
  }
}

interface CopySweepOptions {
  readonly primary: ObjectStore;
  readonly copy: ObjectStore;
  readonly lineage: LineageInventory;
  readonly signal: AbortSignal;
}

/** Errors: those of both stores. */
async function sweepCopy({ primary, copy, lineage, signal }: CopySweepOptions): Promise<void> {
  const { segmentBytes } = lineage.header;
  const isWhole = new Map<string, boolean>();
  for await (const { name } of copy.list(fragmentsPrefix(lineage))) {
    if (signal.aborted) return;
    const parsed = parseWalObjectName(name);
    if (parsed?.kind !== 'fragment') continue;
    const { timeline, start } = parsed.fragment;
    const segmentName = formatSegmentName(timeline, segmentNumberOf(start, segmentBytes), segmentBytes);
    const segment = segmentObjectName(lineage, segmentName);
    if (!isWhole.has(segment)) {
      isWhole.set(segment, await isHeldAlike({ name: segment, from: primary, to: copy }));
    }
    if (isWhole.get(segment) === false || (await primary.stat(name)) !== null) continue;
    await copy.delete(name);
  }
}
