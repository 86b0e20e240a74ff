import type { Repository } from '../../../repository/index.ts';
import type { LineageInventory } from '../inventory.ts';
import type { SegmentBlock } from './block.ts';
import { type IndexPlace, indexObjectName, readBlock } from './index-objects.ts';
import { SummaryFinder } from './summary-finder.ts';

/** Blocks that are kept: questions one after the other are about the same few segments, mostly the last. Each has some 10 KB, at most some 100. */
const BLOCKS_KEPT_MAX = 8;

/** What of a lineage's commit index was read for one inventory of it: whoever asks again, from the same inventory, does not wait for the store again. */
export class IndexAtHand {
  readonly summaries: SummaryFinder;
  readonly #repository: Repository;
  readonly #blocks = new Map<string, Promise<SegmentBlock | null>>();

  private constructor(repository: Repository) {
    this.#repository = repository;
    this.summaries = new SummaryFinder(repository);
  }

  static of(repository: Repository, lineage: LineageInventory): IndexAtHand {
    const known = atHand.get(lineage);
    if (known !== undefined && known.#repository === repository) return known;
    const made = new IndexAtHand(repository);
    atHand.set(lineage, made);
    return made;
  }

  /** As `readBlock`. */
  readBlock(place: IndexPlace, number: bigint): Promise<SegmentBlock | null> {
    const name = indexObjectName(place, number, 'one');
    const known = this.#blocks.get(name);
    if (known !== undefined) return known;
    const reading = readBlock(this.#repository, place, number);
    this.#blocks.set(name, reading);
    // A store that had no answer is asked again.
    reading.catch(() => this.#blocks.delete(name));
    if (this.#blocks.size > BLOCKS_KEPT_MAX) this.#blocks.delete(this.#blocks.keys().next().value!);
    return reading;
  }
}

/** It goes with the inventory. */
const atHand = new WeakMap<LineageInventory, IndexAtHand>();
