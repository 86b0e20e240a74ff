import type { ChunkIndex, ChunkLocation } from '../index/index.ts';

/** What a pack can be; none of these: it is there, and may be counted on. */
export const ABSENT = 1;
export const ANNOUNCED = 2;
export const DAMAGED = 4;

/** What came of marking a chunk as live. `known`: it was so already. `lost`: no pack that is there has it. */
export type Marked = 'new' | 'known' | 'lost';

/** What is live in one pack. */
export interface PackTally {
  readonly liveChunks: number;
  readonly liveBytes: number;
  readonly sharedChunks: number;
  readonly leaningChunks: number;
}

/** Numbers that are counted for each pack: those of its tally. */
const COUNTS = 4;

/**
 * Which chunks are live, and in which pack each of them stays: a bit for each chunk of the index and some numbers for each pack.
 *
 * A chunk that several packs have is read from one of them, its *home*: one that may be counted on, if there is any; else one that is announced, from which it
 * has to be stored again; else it is in damaged packs alone, of which each may still be healed.
 */
export class LiveChunks {
  readonly #index: ChunkIndex;
  readonly #states: Uint8Array;
  readonly #live: ChunkBits;
  readonly #counts: Float64Array;

  /** `stateOf`: of each pack of the index, by its number, as a sum of the constants above. */
  constructor(index: ChunkIndex, stateOf: (packNumber: number) => number) {
    this.#index = index;
    this.#states = Uint8Array.from({ length: index.packCount }, (_, number) => stateOf(number));
    this.#live = new ChunkBits(index);
    this.#counts = new Float64Array(index.packCount * COUNTS);
  }

  /** Errors: none; one that the index does not name is `lost`, too. */
  mark(id: Uint8Array): Marked {
    const added = this.#live.add(id);
    if (added !== 'new') return added === 'known' ? 'known' : 'lost';
    const locations = this.#index.lookup(id);
    const homes = this.#homesAmong(locations);
    const isSafe = homes.some(({ packNumber }) => this.#states[packNumber] === 0);
    for (const location of locations) {
      const at = location.packNumber * COUNTS;
      if (homes.includes(location)) {
        this.#counts[at]! += 1;
        this.#counts[at + 1]! += location.frameLength;
      } else {
        this.#counts[at + 2]! += 1;
        if (!isSafe) this.#counts[at + 3]! += 1;
      }
    }
    return homes.length === 0 ? 'lost' : 'new';
  }

  isLive(id: Uint8Array): boolean {
    return this.#live.has(id);
  }

  /** For who looks at chunks beside the live ones. */
  newBits(): ChunkBits {
    return new ChunkBits(this.#index);
  }

  /** Whether a live chunk has to be read from this pack. */
  isAtHome(id: Uint8Array, packNumber: number): boolean {
    return this.isLive(id) && this.#homesAmong(this.#index.lookup(id)).some((home) => home.packNumber === packNumber);
  }

  /** Whether packs that are announced have the chunk, and no other one that may be counted on. */
  isAnnouncedOnly(id: Uint8Array): boolean {
    const [home] = this.#homesAmong(this.#index.lookup(id));
    return home !== undefined && (this.#states[home.packNumber]! & ANNOUNCED) !== 0;
  }

  /** Of a chunk that is lost: a pack that the index names for it and that is not there without a record of damage; `null` when all have one. */
  findUnexplained(id: Uint8Array): Buffer | 'unknown' | null {
    const locations = this.#index.lookup(id);
    if (locations.length === 0) return 'unknown';
    const unexplained = locations.find(({ packNumber }) => (this.#states[packNumber]! & DAMAGED) === 0);
    return unexplained?.packId ?? null;
  }

  tallyOf(packNumber: number): PackTally {
    const at = packNumber * COUNTS;
    const [liveChunks, liveBytes, sharedChunks, leaningChunks] = this.#counts.subarray(at, at + COUNTS);
    return {
      liveChunks: liveChunks!,
      liveBytes: liveBytes!,
      sharedChunks: sharedChunks!,
      leaningChunks: leaningChunks!,
    };
  }

  /** One location, or those in damaged packs when there are no others; none when no pack that has it is there. */
  #homesAmong(locations: readonly ChunkLocation[]): ChunkLocation[] {
    const there = locations.filter(({ packNumber }) => (this.#states[packNumber]! & ABSENT) === 0);
    const best = (state: number) => fullest(there.filter(({ packNumber }) => this.#states[packNumber] === state));
    const home = best(0) ?? best(ANNOUNCED);
    return home === null ? there : [home];
  }
}

/** A bit for each chunk of an index. */
export class ChunkBits {
  readonly #index: ChunkIndex;
  readonly #bytes: Uint8Array;

  constructor(index: ChunkIndex) {
    this.#index = index;
    this.#bytes = new Uint8Array(Math.ceil(index.count / 8));
  }

  has(id: Uint8Array): boolean {
    const number = this.#index.numberOf(id);
    return number !== null && (this.#bytes[number >> 3]! & (1 << (number & 7))) !== 0;
  }

  add(id: Uint8Array): 'new' | 'known' | 'absent' {
    const number = this.#index.numberOf(id);
    if (number === null) return 'absent';
    if ((this.#bytes[number >> 3]! & (1 << (number & 7))) !== 0) return 'known';
    this.#bytes[number >> 3]! |= 1 << (number & 7);
    return 'new';
  }
}

/** Of several, the one in the pack with most in it: so small packs become empty. */
function fullest(locations: readonly ChunkLocation[]): ChunkLocation | null {
  let best: ChunkLocation | null = null;
  for (const location of locations) {
    const isFuller =
      best === null ||
      location.chunksEnd > best.chunksEnd ||
      (location.chunksEnd === best.chunksEnd && location.packId.compare(best.packId) < 0);
    if (isFuller) best = location;
  }
  return best;
}
