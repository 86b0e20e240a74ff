import { type Clock, HoldfastError } from '../../../lib/index.ts';
import { formatLsn, type PostgresConnection, PostgresError, startReplication } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { findLineage, pathInLineage, StoredWal, type WalInventory } from '../../wal/index.ts';
import { type BackupWal, foreignWal } from './prove-wal.ts';

/** A standby that has the WAL sends it at once. One that sends nothing new for so long does not have it. */
const SILENCE_MS_MAX = 60_000;
/** How often it is looked whether something came. */
const LOOK_MS = 500;

/** undefined_file: the WAL that was asked for is gone. */
const WAL_GONE_STATE = '58P01';

/** What a proof is made from. */
export interface StandbyProof {
  readonly repository: Repository;
  /** The connection over which the files came: what it streams is the WAL of the same server and no other. */
  readonly connection: PostgresConnection;
  /** The slot of `keepWal`. */
  readonly slot: string | null;
  readonly wal: BackupWal;
  /** What is stored of it. */
  readonly inventory: WalInventory;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Proves that the stored WAL is what the standby replayed while it was backed up (rules A4, A13).
 *
 * A standby writes no WAL, so that no record says where the backup ended. Whoever brought the stored WAL may have streamed it from another history
 * with the same system identifier and the same positions. So the standby is asked, over the connection over which its files came, for its own WAL
 * from the start to the end of the backup, and every byte is compared.
 *
 * Errors: BACKUP_WAL_FOREIGN, BACKUP_WAL_UNPROVEN; OBJECT_DAMAGED, WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the connection and the store.
 */
export async function proveStandbyWal(proof: StandbyProof): Promise<void> {
  const { connection, slot, wal, clock, signal } = proof;
  const comparison = new Comparison(openStoredWal(proof), wal);
  const onAbort = () => connection.destroy(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const stream = await startReplication(connection, {
      startLsn: wal.start,
      timeline: wal.timeline,
      slot: slot ?? undefined,
      clock,
      onWal: ({ startLsn, data }) => comparison.take(startLsn, data),
    });
    // A timeline that was left meanwhile ends the stream by itself, after its last byte.
    const ended = stream.ended.then(() => 'ended' as const);
    ended.catch(() => {}); // Raced below; a later failure of a stream that is no longer needed harms nobody.
    while (!comparison.isOver) {
      const patience = new AbortController();
      const outcome = await Promise.race([ended, comparison.over, clock.sleep(LOOK_MS, patience.signal)]);
      patience.abort();
      if (outcome === 'ended') break;
      if (comparison.silentSince(clock.monotonic()) > SILENCE_MS_MAX) break;
    }
    await stream.stop();
  } catch (error) {
    if (error instanceof PostgresError && error.sqlState === WAL_GONE_STATE) throw walGone(wal, error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
  if (comparison.differsAt !== null) throw foreignWal(wal, `bytes that differ at ${formatLsn(comparison.differsAt)}`);
  if (comparison.at < wal.end) throw unproven(wal, comparison.at);
}

function openStoredWal({ repository, inventory, wal }: StandbyProof): AsyncGenerator<Buffer, void> {
  const lineage = findLineage(inventory, wal.lineage);
  return new StoredWal(repository, lineage, pathInLineage(lineage, wal.timeline)).read(wal.start, wal.end);
}

/** Holds arriving WAL against the stored bytes of a range. */
class Comparison {
  readonly #stored: AsyncGenerator<Buffer, void>;
  readonly #wal: BackupWal;
  readonly #over = Promise.withResolvers<void>();
  #piece: Buffer = Buffer.alloc(0);
  /** The stored WAL has a hole at the position that was reached, which then tells. */
  #hasHole = false;
  #lastLook: { readonly at: bigint; readonly since: number } | null = null;
  /** Up to here both are equal. */
  at: bigint;
  differsAt: bigint | null = null;

  constructor(stored: AsyncGenerator<Buffer, void>, wal: BackupWal) {
    this.#stored = stored;
    this.#wal = wal;
    this.at = wal.start;
  }

  /** Settled when nothing more has to be compared. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  get isOver(): boolean {
    return this.differsAt !== null || this.#hasHole || this.at >= this.#wal.end;
  }

  async take(startLsn: bigint, data: Buffer): Promise<void> {
    while (!this.isOver) {
      const offset = Number(this.at - startLsn);
      if (offset >= data.length) return;
      if (this.#piece.length === 0) await this.#nextPiece();
      if (this.#hasHole) break;
      const length = Math.min(this.#piece.length, data.length - offset);
      const difference = firstDifference(data.subarray(offset, offset + length), this.#piece.subarray(0, length));
      this.at += BigInt(difference);
      if (difference < length) this.differsAt = this.at;
      this.#piece = this.#piece.subarray(length);
    }
    this.#over.resolve();
  }

  /** Milliseconds for which nothing new was compared, on the clock's monotonic scale. */
  silentSince(now: number): number {
    if (this.#lastLook === null || this.#lastLook.at !== this.at) this.#lastLook = { at: this.at, since: now };
    return now - this.#lastLook.since;
  }

  async #nextPiece(): Promise<void> {
    const { value, done } = await this.#stored.next();
    if (done === true) this.#hasHole = true;
    else this.#piece = value;
  }
}

function firstDifference(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return a.length;
  let at = 0;
  while (a[at] === b[at]) at++;
  return at;
}

function walGone(wal: BackupWal, cause: PostgresError): HoldfastError {
  return new HoldfastError('BACKUP_WAL_UNPROVEN', 'cannot list the backup: the standby has removed its WAL', {
    detail: `Expected the standby to have its WAL from ${formatLsn(wal.start)} on, to compare it with what is stored; it said: ${cause.report.message}.`,
    hints: [
      'Raise max_replication_slots on the standby so that it has a free slot for the backup, or raise wal_keep_size there.',
      'Then take the backup again.',
    ],
    cause,
  });
}

function unproven(wal: BackupWal, at: bigint): HoldfastError {
  return new HoldfastError('BACKUP_WAL_UNPROVEN', 'could not compare all WAL of the backup with the standby', {
    detail: `Expected to compare it up to ${formatLsn(wal.end)}, came to ${formatLsn(at)}.`,
    hints: [
      'Check with `SELECT pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()` on the standby that it follows its primary.',
      'Run `holdfast wal status` to see gaps, then take the backup again.',
    ],
    retryable: true,
  });
}
