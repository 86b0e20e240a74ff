import { type Clock, HoldfastError, type Progress } from '../../../lib/index.ts';
import { type ConnectionTarget, formatLsn } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { contiguousEnd, findLineage, readWalInventory, type WalInventory } from '../../wal/index.ts';
import type { CheckedServer } from './check-server.ts';

/** How often the repository is asked whether another receiver has brought the WAL. */
export const POLL_MS = 500;
/** A receiver that runs and brings nothing for so long is not waited for any more. */
export const STALLED_MS = 60_000;

/** WAL that a backup needs. */
export interface NeededWal {
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
  /** Whether nothing behind it will be needed: then a receiver of the backup's own ends with it. */
  readonly isLast?: boolean;
}

/** Someone who brings the WAL of the backup into the repository. */
export interface SecuredWal extends AsyncDisposable {
  /** The lineage into which the WAL goes. */
  readonly lineage: string;
  /** Where the stream of a receiver of the backup's own begins; null where somebody else brings the WAL. What lies before is not stored by it. */
  readonly streamsFrom: bigint | null;
  /**
   * Waits until all WAL in the range, of the range's timeline, is durable in the repository; gives the listing that shows it. May be asked again for what
   * comes later: where an increment is not to be trusted, everything is read after it.
   */
  secured(range: NeededWal): Promise<WalInventory>;
}

export interface SecureWalOptions {
  repository: Repository;
  source: ConnectionTarget;
  cluster: string;
  stateDirectory: string;
  clock: Clock;
  progress: Progress;
  server: CheckedServer;
  signal?: AbortSignal;
  /** The copy that stands in for the primary; nothing otherwise. */
  takenIn?: string;
}

/** Unbroken WAL, and the listing that shows it. */
export interface StoredRun {
  readonly end: bigint;
  readonly inventory: WalInventory;
}

/** Looks again and again at what the repository has of a server's WAL. */
export class StoredWalOfServer {
  readonly #repository: Repository;
  readonly #system: string;
  #seen: WalInventory | null = null;

  constructor({ repository, server }: { repository: Repository; server: CheckedServer }) {
    this.#repository = repository;
    this.#system = server.identity.systemId;
  }

  /** The unbroken WAL from the range's start on, as the repository has it now. */
  async findRun(lineage: string, range: { timeline: number; start: bigint }): Promise<StoredRun> {
    const inventory = await readWalInventory(this.#repository, this.#system, this.#seen);
    this.#seen = inventory;
    // Right after a promotion the receiver has yet to see it: nothing of the new timeline is stored before its history is.
    const isUnknown = range.timeline > 1 && !findLineage(inventory, lineage).histories.has(range.timeline);
    const end = isUnknown ? range.start : contiguousEnd(inventory, lineage, range.timeline, range.start);
    return { end, inventory };
  }
}

export function walMissing(range: { start: bigint; end: bigint }, end: bigint): HoldfastError {
  return new HoldfastError('BACKUP_WAL_MISSING', 'cannot list the backup: its WAL is not in the repository', {
    detail: `Expected WAL from ${formatLsn(range.start)} to ${formatLsn(range.end)}, found it up to ${formatLsn(end)}.`,
    hints: ['Run `holdfast wal status` to see gaps, then take the backup again.'],
  });
}

export function lineageChanged(expected: string, found: string): HoldfastError {
  return new HoldfastError('BACKUP_WAL_FORKED', 'cannot finish the backup: the history of the WAL forked meanwhile', {
    detail: `Expected the WAL in lineage ${expected}, found that it goes on in ${found}.`,
    hints: ['Take the backup again: it will belong to the new lineage.'],
    retryable: true,
  });
}
