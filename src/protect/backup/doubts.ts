import { type Doubt, listDoubts, type Repository, type SnapshotRecord } from '../../repository/index.ts';
import { builtOn } from './bases.ts';

/** Which snapshots are in doubt: those that a statement names, and all that stands on one of these. */
export class Doubts {
  readonly #bySnapshot = new Map<string, Doubt[]>();

  constructor(doubts: readonly Doubt[], snapshots: readonly SnapshotRecord[]) {
    for (const doubt of doubts) {
      for (const id of builtOn(doubt.snapshots, snapshots)) {
        const known = this.#bySnapshot.get(id);
        if (known === undefined) this.#bySnapshot.set(id, [doubt]);
        else known.push(doubt);
      }
    }
  }

  /** What makes a snapshot doubtful, oldest first; nothing for one that is not. */
  about(snapshot: string): readonly Doubt[] {
    return this.#bySnapshot.get(snapshot) ?? [];
  }

  isAbout(snapshot: string): boolean {
    return this.#bySnapshot.has(snapshot);
  }
}

/**
 * Finds out which snapshots are in doubt now. Of an increment nothing is written for that: it follows from its base, so that no doubt is lost with whoever is
 * stopped after it was committed.
 *
 * `snapshots`: all that are listed, for whoever has them. Errors: those of the store.
 */
export async function readDoubts(repository: Repository, snapshots?: readonly SnapshotRecord[]): Promise<Doubts> {
  const { doubts } = await listDoubts(repository);
  if (doubts.length === 0) return new Doubts([], []);
  return new Doubts(doubts, snapshots ?? (await repository.recallSnapshots()).snapshots);
}
