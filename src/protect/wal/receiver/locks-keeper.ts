import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import { extendLocks, lockingPlaces, type Repository } from '../../../repository/index.ts';
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

  /** Looks once. WAL goes on whatever is found: what is not locked is still kept. */
  async look(): Promise<void> {
    const { repository, announcer, place, onFailure } = this.#options;
    const lineage = place();
    if (lineage === null) return;
    try {
      const { lineages } = await readWalInventory(repository, lineage.system);
      const names = lineages.flatMap(listUnjoined).map(({ objectName }) => objectName);
      for (const { store } of lockingPlaces(repository.store)) {
        await extendLocks({ store, names, signal: this.#stop.signal });
      }
      if (announcer.isOver('locks')) announcer.emit({ kind: 'recovered', alarm: 'locks' });
    } catch (error) {
      // A store that is away is told of by the WAL that it does not take; a fragment that is gone was joined meanwhile, or has not reached that copy.
      if (this.#stop.signal.aborted || isStoreAway(error) || codeOf(error) === 'OBJECT_ABSENT') return;
      if (error instanceof HoldfastError) announcer.alarmOnce('locks', { alarm: 'locks', error });
      else onFailure(error);
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
