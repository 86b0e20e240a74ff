import type { Repository } from '../../../repository/index.ts';
import { FAN_OUT, type IndexPlace, indexObjectName, LEVEL_MAX, readSummaries } from './index-objects.ts';
import type { SegmentRun } from './segment-runs.ts';
import { type LandmarkSummary, mergeSummaries } from './summary.ts';

/** Objects that were read, or looked for in vain, are kept: some KB each. */
const KEPT_MAX = 256;

/** Finds summaries of many segments or of few, from the objects of all levels. */
export class SummaryFinder {
  readonly #repository: Repository;
  readonly #kept = new Map<string, LandmarkSummary[] | null>();

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** The summaries that begin with a segment and do not leave its run, the largest first. Errors: those of the store. */
  async *from({ place, last }: SegmentRun, number: bigint): AsyncGenerator<LandmarkSummary, void> {
    for (let level = LEVEL_MAX; level >= 0; level--) {
      const segments = FAN_OUT ** BigInt(level);
      if (number % segments !== 0n || number + segments - 1n > last) continue;
      const summary = await this.#find(place, number, level);
      if (summary !== null && BigInt(summary.segments) === segments) yield summary;
    }
  }

  /** One of 16^level segments: told by its parent, or put together from its own parts. */
  async #find(place: IndexPlace, number: bigint, level: number): Promise<LandmarkSummary | null> {
    if (level < LEVEL_MAX) {
      const parent = number - (number % FAN_OUT ** BigInt(level + 1));
      const inParent = (await this.#read(place, parent, level + 1))?.find((part) => part.number === number);
      if (inParent !== undefined) return inParent;
    }
    const [first, ...others] = (level === 0 ? null : await this.#read(place, number, level)) ?? [];
    return first === undefined ? null : mergeSummaries([first, ...others]);
  }

  async #read(place: IndexPlace, number: bigint, level: number): Promise<LandmarkSummary[] | null> {
    const name = indexObjectName(place, number, { level });
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept;
    const found = await readSummaries(this.#repository, place, number, level);
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(name, found);
    return found;
  }
}
