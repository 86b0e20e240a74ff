import type { Clock } from '../../../lib/index.ts';
import type { ConnectionTarget } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import type { LineagePlace } from '../object-names.ts';
import type { AwaitedLsn } from './awaited-lsn.ts';
import type { ReceiverOutage } from './outage-keeper.ts';

/** What a receiver is told. */
export interface WalReceiverOptions {
  readonly repository: Repository;
  readonly source: ConnectionTarget;
  /** The name under which the plan knows the PostgreSQL cluster. */
  readonly cluster: string;
  /** For arriving segments; a few of them must have room. */
  readonly stateDirectory: string;
  readonly clock: Clock;
  /** The slot; `holdfast_<cluster>` when not given. */
  readonly slot?: string;
  /** WAL is durable this long after it came, or at once while commits wait for it. */
  readonly flushIntervalMs?: number;
  /** More WAL than this, held back by the slot or in pg_wal, is an alarm. */
  readonly budgetBytes?: number;
  /** Ends the receiver in good order. */
  readonly signal: AbortSignal;
  /** What to do while the primary is away; without it WAL waits on the server. */
  readonly outage?: ReceiverOutage;
  /** Ends the receiver when WAL is durable up to here; may be told later. */
  readonly until?: bigint | Promise<bigint>;
  /** Up to where somebody waits for WAL, and the receiver goes on behind it. */
  readonly awaited?: AwaitedLsn;
  /** For a backup without a running receiver: with a slot that goes with the connection, and under a name that no commit waits for. */
  readonly temporary?: boolean;
  /** Whether the repository's store is a copy that stands in for the primary: then only what can be proved by it is gone on with (`docs/copies.md`). */
  readonly standsIn?: boolean;
  /** Where WAL is needed from; when not given, it goes on where what is stored ends, a temporary one from where the server keeps WAL. */
  readonly startLsn?: bigint;
  /** Called at once and in order; what it throws ends the receiver. */
  readonly onEvent: (event: WalEvent) => void;
}

/** How a receiver ended. */
export interface WalReceiverResult {
  /** `null` when it never came to choose one. */
  readonly place: LineagePlace | null;
  readonly timeline: number | null;
  /** The end of the unbroken durable WAL; 0 when there is none. */
  readonly durableLsn: bigint;
  readonly ended: 'signal' | 'until';
}

/** WAL is durable within a second unless the plan says otherwise. */
export const FLUSH_INTERVAL_MS_DEFAULT = 1_000;

/** As the plan has it by default. */
export const WAL_BUDGET_BYTES_DEFAULT = 16 * 1024 ** 3;
