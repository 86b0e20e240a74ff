import { type Clock, HoldfastError } from '../../../lib/index.ts';
import { extendLocks, lockingPlaces, type ObjectStore, type Repository } from '../../../repository/index.ts';
import { type LineageInventory, readWalInventory, type StoredFragment } from '../inventory.ts';
import type { LineagePlace } from '../object-names.ts';
import type { Announcer } from './announcer.ts';
import { isStoreAway } from './persistence.ts';

/** A fragment is locked for a day longer than it needs: looked after four times a day, it never has less. */
const LOCKS_INTERVAL_MS = 6 * 60 * 60_000;

interface LocksKeeperOptions {
  readonly repository: Repository;
  readonly clock: Clock;
  readonly announcer: Announcer;
  /** The lineage that WAL goes into; `null` before it is known. */
  readonly place: () => LineagePlace | null;
  /** Told of what is no trouble of the store but a fault. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Keeps fragments of WAL locked for as long as no whole segment holds what is in them (rule C7): on a server that writes little that may be weeks, and their locks are short.
 */
export class LocksKeeper {
  readonly #options: LocksKeeperOptions;
  readonly #stop = new AbortController();
  #looking: Promise<void> | null = null;

  constructor(options: LocksKeeperOptions) {
    this.#options = options;
  }

  begin(): void {
    if (lockingPlaces(this.#options.repository.store).length > 0) this.#looking ??= this.#lookAgainAndAgain();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#looking;
  }

  /** Looks once, in each place by itself. WAL goes on whatever is found: what is not locked is still kept. */
  async look(): Promise<void> {
    const { repository, announcer, place } = this.#options;
    const lineage = place();
    if (lineage === null) return;
    let isComplete = true;
    for (const { store } of lockingPlaces(repository.store)) {
      if (!(await this.#lookIn(store, lineage.system))) isComplete = false;
      if (this.#stop.signal.aborted) return;
    }
    if (isComplete && announcer.isOver('locks')) announcer.emit({ kind: 'recovered', alarm: 'locks' });
  }

  /** Extends what the place itself has and is not joined there; false when it was passed over. */
  async #lookIn(store: ObjectStore, system: string): Promise<boolean> {
    const { repository, announcer, onFailure } = this.#options;
    const { signal } = this.#stop;
    try {
      const { lineages } = await readWalInventory(repository.inPlace(store), system);
      const names = lineages.flatMap(listUnjoined).map(({ objectName }) => objectName);
      // What is gone was joined meanwhile.
      await extendLocks({ store, names, passesAbsent: true, signal });
      return true;
    } catch (error) {
      // A store that is away is told of by the WAL that it does not take.
      if (signal.aborted || isStoreAway(error)) return false;
      if (error instanceof HoldfastError) announcer.alarmOnce('locks', { alarm: 'locks', error });
      else onFailure(error);
      return false;
    }
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.look();
      await clock.sleep(LOCKS_INTERVAL_MS, signal);
    }
  }
}

/** Fragments whose segment is not stored whole. */
function listUnjoined({ header, timelines }: LineageInventory): StoredFragment[] {
  const size = BigInt(header.segmentBytes);
  return [...timelines.values()].flatMap(({ segments, fragments }) =>
    fragments.filter(({ start }) => !segments.has(start / size)),
  );
}
