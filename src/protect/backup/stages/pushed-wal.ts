import { type Clock, HoldfastError, type Progress } from '../../../lib/index.ts';
import { formatLsn } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { readPushStatuses, type WalInventory } from '../../wal/index.ts';
import type { SecuredWal, StoredRun } from './secured-wal.ts';

/** How often the repository is asked whether the files have come. */
const POLL_MS = 500;
/** An archiver that brings nothing for so long is not waited for any more: PostgreSQL tries a file again after a minute. */
const STALLED_MS = 300_000;

/** The lineage into which a server's archiver pushes; `null` when nothing was ever pushed for it. Errors: those of the store. */
export async function findPushedLineage(
  repository: Repository,
  identity: { system: string; cluster: string },
): Promise<string | null> {
  const statuses = await readPushStatuses(repository);
  const own = statuses.find(({ system, cluster }) => system === identity.system && cluster === identity.cluster);
  return own?.lineage ?? null;
}

interface PushedWalOptions {
  readonly repository: Repository;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  findStored(lineage: string, range: { timeline: number; start: bigint }): Promise<StoredRun>;
}

/** The WAL of a backup as it comes from the server's archiver: the server itself ends the last segment with the backup. */
export class PushedWal implements SecuredWal {
  readonly lineage: string;
  readonly streamsFrom = null;
  readonly #options: PushedWalOptions;

  constructor(lineage: string, options: PushedWalOptions) {
    this.lineage = lineage;
    this.#options = options;
  }

  async secured(range: { timeline: number; start: bigint; end: bigint }): Promise<WalInventory> {
    const { clock, progress, signal, findStored } = this.#options;
    progress.note('waiting until the server has archived the WAL of this backup');
    let [reached, movedAt] = [range.start, clock.monotonic()];
    for (;;) {
      const { end, inventory } = await findStored(this.lineage, range);
      if (end >= range.end) return inventory;
      if (end > reached) [reached, movedAt] = [end, clock.monotonic()];
      if (clock.monotonic() - movedAt > STALLED_MS) throw notPushed(range, reached);
      await clock.sleep(POLL_MS, signal);
      signal?.throwIfAborted();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function notPushed(range: { start: bigint; end: bigint }, reached: bigint): HoldfastError {
  return new HoldfastError('BACKUP_WAL_MISSING', 'could not list the backup: its WAL was not pushed', {
    detail: `Expected WAL from ${formatLsn(range.start)} to ${formatLsn(range.end)} from the server's archiver, found it up to ${formatLsn(reached)}.`,
    hints: [
      'Look at pg_stat_archiver and at the log of the server.',
      'With one more place of max_wal_senders a backup brings its WAL itself.',
    ],
    retryable: true,
  });
}
