import type { Clock } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import type { LineageInventory } from '../inventory.ts';
import type { ComparedObject } from './comparison.ts';
import type { Continuation } from './continuation.ts';
import type { Persistence } from './persistence.ts';

/** One run of WAL on one timeline: from where on, what it is held against, and where it goes. */
export interface ReceptionOptions {
  readonly repository: Repository;
  readonly lineage: LineageInventory;
  readonly timeline: number;
  /** The start of a segment. */
  readonly start: bigint;
  /** Nothing is stored, and no flush position is given, before the comparison has come here. */
  readonly storedUntil: bigint;
  /** Everything stored at or behind `start` that the server's WAL must equal. */
  readonly stored: readonly ComparedObject[];
  /** The same as the store has it now: another receiver may have joined what is to be compared. */
  readonly listStored?: () => Promise<readonly ComparedObject[]>;
  /** Where nothing is stored to be compared, but what is stored ends at `start`: the proof that this WAL goes on from it. */
  readonly continuation?: Continuation | null;
  /** The receiver's own id, in the names of its fragments. */
  readonly receiver: string;
  readonly spoolDirectory: string;
  readonly clock: Clock;
  readonly flushIntervalMs: number;
  /** True while a commit may be waiting: then WAL is stored as soon as it comes. */
  readonly isUrgent: () => boolean;
  readonly persistence: Persistence;
  readonly emit: (event: WalEvent) => void;
  /** The unbroken durable WAL has grown to `lsn`. */
  readonly onDurable: (lsn: bigint) => void;
}
