import type { LineageInventory } from '../inventory.ts';
import type { DivergedPlan } from './resume-plan.ts';

/** A lineage that is not the server's, and what is known of where the server left it. */
export interface Fork {
  readonly left: LineageInventory;
  readonly diverged: DivergedPlan;
}

/**
 * The search for the lineage that is the server's: each that it contradicts is noted, and only when there is no other left a new one begins.
 *
 * Two copies of one server may go on under one cluster name, each in a lineage of its own. One that comes back finds its own again.
 */
export class ForkSearch {
  readonly #found = new Map<string, Fork>();
  /** Set when every lineage was held against the server. */
  #closest: Fork | null = null;

  /** Lineages that were found not to be the server's. */
  get left(): ReadonlyMap<string, Fork> {
    return this.#found;
  }

  /** The fork to begin a lineage at; `null` while another lineage may be the server's. */
  get closest(): Fork | null {
    return this.#closest;
  }

  note(fork: Fork): void {
    this.#found.set(fork.left.lineage, fork);
  }

  /** None is the server's: the one with which it shares the most is its parent. The first of those that say nothing of where. */
  settle(forks: readonly Fork[]): void {
    const known = (fork: Fork) => fork.diverged.forkLsn ?? -1n;
    this.#closest = forks.reduce((best, fork) => (known(fork) > known(best) ? fork : best));
  }

  /** A lineage is the server's, or begins: what was found is told. */
  forget(): void {
    this.#found.clear();
    this.#closest = null;
  }
}
