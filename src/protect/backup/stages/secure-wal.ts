import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { findRunningReceiver, readFollowed, type WalInventory } from '../../wal/index.ts';
import { isReceiverHere } from '../../wal/push/index.ts';
import { startOwnReceiver } from './own-receiver.ts';
import { findPushedLineage, PushedWal } from './pushed-wal.ts';
import {
  lineageChanged,
  type NeededWal,
  POLL_MS,
  type SecuredWal,
  type SecureWalOptions,
  STALLED_MS,
  StoredWalOfServer,
  walMissing,
} from './secured-wal.ts';

/**
 * Makes sure, before a backup begins, that its WAL will reach the repository: by a receiver that runs already, or by one of our own
 * that lasts as long as the backup.
 */
export async function secureWal(options: SecureWalOptions): Promise<SecuredWal> {
  const { repository, cluster, server } = options;
  const identity = { system: server.identity.systemId, cluster };
  const findingPushed = findPushedLineage(repository, identity);
  findingPushed.catch(() => {}); // Of interest only where no receiver runs.
  const running = await findRunningReceiver(repository, identity);
  const beside = running === null ? await findReceiverBeside(options) : null;
  if (beside !== null) return new WalBeside(beside, options);
  if (running === null) return bringOrAwait(options, await findingPushed);
  return new RunningReceiver(options, running.lineage);
}

/**
 * While a copy stands in for the primary, a receiver of this machine cannot say there that it runs; it brings its WAL to the copies all the same. A
 * second one would seal the same segments otherwise, and they would differ between the places for ever.
 */
async function findReceiverBeside(options: SecureWalOptions): Promise<string | null> {
  const { takenIn, stateDirectory, repository, cluster, server } = options;
  const system = server.identity.systemId;
  if (takenIn === undefined || !(await isReceiverHere(stateDirectory, system))) return null;
  return readFollowed(stateDirectory, repository.id, { system, cluster });
}

/** The WAL of a backup as the receiver of this machine brings it to the copy. */
class WalBeside implements SecuredWal {
  readonly lineage: string;
  readonly streamsFrom = null;
  readonly #options: SecureWalOptions;

  constructor(lineage: string, options: SecureWalOptions) {
    this.lineage = lineage;
    this.#options = options;
  }

  async secured(range: NeededWal): Promise<WalInventory> {
    const { clock, progress, signal } = this.#options;
    progress.note('the WAL receiver of this machine brings the WAL of this backup to the copy');
    const stored = new StoredWalOfServer(this.#options);
    let [reached, movedAt] = [range.start, clock.monotonic()];
    for (;;) {
      const { end, inventory } = await stored.findRun(this.lineage, range);
      if (end >= range.end) return inventory;
      if (end > reached) [reached, movedAt] = [end, clock.monotonic()];
      if (clock.monotonic() - movedAt > STALLED_MS) throw walMissing(range, reached);
      await clock.sleep(POLL_MS, signal);
      signal?.throwIfAborted();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Brings the WAL, unless the server has no sender to spare for that and its archiver brings WAL anyway. */
async function bringOrAwait(options: SecureWalOptions, pushed: string | null): Promise<SecuredWal> {
  const { progress } = options;
  progress.note('no WAL receiver is running: this backup brings its own WAL');
  try {
    return await startOwnReceiver({ ...options, canAwaitPushes: pushed !== null });
  } catch (error) {
    const cause = error instanceof HoldfastError && error.code === 'BACKUP_WAL_STOPPED' ? codeOf(error.cause) : null;
    if (pushed === null || cause !== 'PG_TOO_MANY_CONNECTIONS') throw error;
    progress.note('the server has no sender to spare: this backup waits for its WAL to be pushed');
    const storedWal = new StoredWalOfServer(options);
    return new PushedWal(pushed, { ...options, findStored: (lineage, range) => storedWal.findRun(lineage, range) });
  }
}

/** Trusts nothing but the repository: what another receiver says of itself only decides whether it is waited for. */
class RunningReceiver implements SecuredWal {
  readonly lineage: string;
  readonly streamsFrom = null;
  readonly #options: SecureWalOptions;
  #own: SecuredWal | null = null;

  constructor(options: SecureWalOptions, lineage: string) {
    this.#options = options;
    this.lineage = lineage;
  }

  async secured(range: NeededWal): Promise<WalInventory> {
    if (this.#own !== null) return this.#own.secured(range);
    const { repository, clock, progress, signal, server, cluster } = this.#options;
    const stored = new StoredWalOfServer(this.#options);
    let reached = range.start;
    let movedAt = clock.monotonic();
    for (;;) {
      const finding = findRunningReceiver(repository, { system: server.identity.systemId, cluster });
      finding.catch(() => {}); // Of interest only while the WAL is not there.
      const { end, inventory } = await stored.findRun(this.lineage, range);
      if (end >= range.end) return inventory;
      const running = await finding;
      if (end > reached) {
        reached = end;
        movedAt = clock.monotonic();
      }
      if (running === null || clock.monotonic() - movedAt > STALLED_MS) break;
      // It is past the end and left a hole before: it began later than the last checkpoint that a standby has replayed. It will not go back.
      if (running.lineage === this.lineage && running.durableLsn >= range.end) break;
      if (running.lineage !== this.lineage) throw lineageChanged(this.lineage, running.lineage);
      await clock.sleep(POLL_MS, signal);
      signal?.throwIfAborted();
    }
    progress.note('the WAL receiver does not bring all WAL of this backup: it brings the rest itself');
    // Its own slot keeps WAL only from the last checkpoint on, which may be later than where the backup began.
    this.#own = await startOwnReceiver({ ...this.#options, startLsn: range.start });
    if (this.#own.lineage !== this.lineage) throw lineageChanged(this.lineage, this.#own.lineage);
    return this.#own.secured(range);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
  }
}
