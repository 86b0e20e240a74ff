import { type BlockLimit, type BlockVisitor, Fork } from '../../../postgres/index.ts';
import type { ChangeSet, ForkChanges, ForkName } from './change-set.ts';

/** A table begins with so many places, a power of two, and is doubled when half of them are taken: an idle segment costs nothing. */
const BLOCK_PLACES_INITIAL = 4096;
const FORK_PLACES_INITIAL = 256;
const NO_LIMIT = -1;
const NONE = -1;
/** Odd numbers whose products spread over 32 bits (of the finalizer of MurmurHash3). */
const SPREAD_1 = 0x85ebca6b;
const SPREAD_2 = 0xc2b2ae35;

/**
 * Gathers the blocks that records change. As every record of the WAL that comes in passes here, numbers lie in typed arrays and nothing is allocated
 * for a block.
 *
 * A *stretch* is what is known of a fork since it was last made, removed or cut: each limit begins a new one, so that nothing needs to be taken
 * out of a table.
 */
export class ChangedBlocks implements BlockVisitor {
  /** For each place the number of the stretch plus 1, 0 where it is free, and the block. */
  #blocks = new Uint32Array(BLOCK_PLACES_INITIAL * 2);
  #blockCount = 0;
  /** For each taken place, the number of a fork's latest stretch, plus 1; 0 where it is free. */
  #forks = new Int32Array(FORK_PLACES_INITIAL);
  #forkCount = 0;
  /** By the number of the stretch. */
  readonly #names: ForkName[] = [];
  readonly #limits: number[] = [];
  readonly #before: number[] = [];
  /** The block that was told last: most records change the one that the record before changed. */
  #lastStretch = NONE;
  #lastBlock = NONE;

  visitBlock(tablespaceOid: number, databaseOid: number, relationNumber: number, fork: number, block: number): void {
    // It is not logged in full, so that nobody relies on what WAL says of it.
    if (fork === Fork.freeSpaceMap) return;
    const stretch = this.#stretchOf(tablespaceOid, databaseOid, relationNumber, fork);
    if (block === this.#lastBlock && stretch === this.#lastStretch) return;
    this.#lastStretch = stretch;
    this.#lastBlock = block;
    this.#add(stretch, block);
  }

  addLimit({ tablespaceOid, databaseOid, relationNumber, fork, limit }: BlockLimit): void {
    const place = this.#placeOf(tablespaceOid, databaseOid, relationNumber, fork);
    const before = (this.#forks[place] as number) - 1;
    this.#begin(place, { tablespaceOid, databaseOid, relationNumber, fork }, { limit, before });
  }

  /** All that was gathered; begins anew. */
  finish(): ChangeSet {
    const byStretch = this.#sortedBlocks();
    const forks: ForkChanges[] = [];
    for (const taken of this.#forks) {
      if (taken > 0) forks.push(this.#finishFork(taken - 1, byStretch));
    }
    this.#clear();
    return forks;
  }

  #clear(): void {
    this.#blocks.fill(0);
    this.#forks.fill(0);
    this.#blockCount = 0;
    this.#forkCount = 0;
    this.#names.length = 0;
    this.#limits.length = 0;
    this.#before.length = 0;
    this.#lastStretch = NONE;
    this.#lastBlock = NONE;
  }

  /** The blocks of each stretch, rising. */
  #sortedBlocks(): Uint32Array[] {
    const table = this.#blocks;
    const counts = new Uint32Array(this.#names.length);
    for (let at = 0; at < table.length; at += 2) {
      const taken = table[at] as number;
      if (taken > 0) counts[taken - 1]!++;
    }
    const lists = Array.from(counts, (count) => new Uint32Array(count));
    for (let at = 0; at < table.length; at += 2) {
      const taken = table[at] as number;
      if (taken === 0) continue;
      const left = --counts[taken - 1]!;
      lists[taken - 1]![left] = table[at + 1] as number;
    }
    for (const list of lists) if (list.length > 1) list.sort();
    return lists;
  }

  #finishFork(latest: number, byStretch: readonly Uint32Array[]): ForkChanges {
    const name = this.#names[latest]!;
    let limit: number | null = null;
    const parts: Uint32Array[] = [];
    // From the newest stretch back: what an older one has of blocks that were cut off since is gone.
    for (let stretch = latest; stretch !== NONE; stretch = this.#before[stretch]!) {
      const cut: number | null = limit;
      const blocks = byStretch[stretch]!;
      if (blocks.length > 0) parts.push(cut === null ? blocks : blocks.filter((block) => block < cut));
      const own = this.#limits[stretch]!;
      if (own !== NO_LIMIT) limit = limit === null ? own : Math.min(limit, own);
    }
    const [only] = parts;
    const blocks = parts.length === 1 ? only! : Uint32Array.from(new Set(parts.flatMap((part) => [...part]))).sort();
    return { ...name, limit, blocks };
  }

  #stretchOf(tablespaceOid: number, databaseOid: number, relationNumber: number, fork: number): number {
    const place = this.#placeOf(tablespaceOid, databaseOid, relationNumber, fork);
    const taken = this.#forks[place] as number;
    if (taken > 0) return taken - 1;
    return this.#begin(place, { tablespaceOid, databaseOid, relationNumber, fork }, { limit: NO_LIMIT, before: NONE });
  }

  #begin(place: number, name: ForkName, { limit, before }: { limit: number; before: number }): number {
    const stretch = this.#names.push(name) - 1;
    this.#limits.push(limit);
    this.#before.push(before);
    const isNew = this.#forks[place] === 0;
    this.#forks[place] = stretch + 1;
    if (isNew && ++this.#forkCount * 2 > this.#forks.length) this.#growForks();
    return stretch;
  }

  /** The place of a fork in the table, or the free one where it belongs. */
  #placeOf(tablespaceOid: number, databaseOid: number, relationNumber: number, fork: number): number {
    const mask = this.#forks.length - 1;
    for (let place = hashOf(relationNumber ^ (databaseOid << 16), fork) & mask; ; place = (place + 1) & mask) {
      const taken = this.#forks[place] as number;
      if (taken === 0) return place;
      const name = this.#names[taken - 1]!;
      if (
        name.relationNumber === relationNumber &&
        name.fork === fork &&
        name.databaseOid === databaseOid &&
        name.tablespaceOid === tablespaceOid
      ) {
        return place;
      }
    }
  }

  #growForks(): void {
    const old = this.#forks;
    this.#forks = new Int32Array(old.length * 2);
    for (const taken of old) {
      if (taken === 0) continue;
      const { tablespaceOid, databaseOid, relationNumber, fork } = this.#names[taken - 1]!;
      this.#forks[this.#placeOf(tablespaceOid, databaseOid, relationNumber, fork)] = taken;
    }
  }

  #add(stretch: number, block: number): void {
    const table = this.#blocks;
    const mask = table.length / 2 - 1;
    for (let place = hashOf(block, stretch) & mask; ; place = (place + 1) & mask) {
      const found = table[place * 2] as number;
      if (found === stretch + 1 && table[place * 2 + 1] === block) return;
      if (found !== 0) continue;
      table[place * 2] = stretch + 1;
      table[place * 2 + 1] = block;
      if (++this.#blockCount * 4 > table.length) this.#growBlocks();
      return;
    }
  }

  #growBlocks(): void {
    const old = this.#blocks;
    this.#blocks = new Uint32Array(old.length * 2);
    this.#blockCount = 0;
    for (let at = 0; at < old.length; at += 2) {
      const taken = old[at] as number;
      if (taken > 0) this.#add(taken - 1, old[at + 1] as number);
    }
  }
}

function hashOf(one: number, other: number): number {
  let hash = Math.imul(one ^ Math.imul(other + 1, SPREAD_1), SPREAD_2);
  hash = Math.imul(hash ^ (hash >>> 15), SPREAD_1);
  return hash ^ (hash >>> 13);
}
