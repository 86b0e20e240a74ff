import type { Repository } from '../../repository/index.ts';
import { contiguousEnd } from './continuity.ts';
import type { WalInventory } from './inventory.ts';
import type { TransactionLandmark, WalLandmark } from './landmark.ts';
import { fullXidNear, LandmarkReader, type LandmarkSummary } from './landmarks/index.ts';

/** A history of WAL and from where on it is looked through. */
export interface HistoryRange {
  readonly lineage: string;
  readonly timeline: number;
  readonly from: bigint;
  /** The end of the unbroken durable WAL unless said otherwise. */
  readonly to?: bigint;
}

/** The end or the preparation of a transaction that bears a number, itself or as one of its subtransactions. */
export interface TransactionMention {
  readonly landmark: Extract<WalLandmark, { kind: 'transaction' | 'prepared' }>;
  /** True when the number is that of a subtransaction, which ended with this transaction. */
  readonly isSubtransaction: boolean;
  /** The transaction's number with its epoch; null when no checkpoint near it tells the epoch. */
  readonly fullXid: bigint | null;
}

const EPOCH = 1n << 32n;

/**
 * Where a transaction committed, looked for from `from` to the end of the unbroken durable WAL; `null` when it did not.
 *
 * `xid` is what stands in the WAL, 32 bits: after four billion transactions a number comes again, and the first one behind `from` is told.
 * Errors: as `LandmarkReader.read`.
 */
export async function findCommit(
  repository: Repository,
  inventory: WalInventory,
  question: { lineage: string; timeline: number; from: bigint; xid: number },
): Promise<TransactionLandmark | null> {
  for await (const { landmark, isSubtransaction } of mentionsOf(repository, inventory, question)) {
    if (isSubtransaction || landmark.kind !== 'transaction') continue;
    if (landmark.transaction.outcome === 'commit') return landmark;
  }
  return null;
}

/**
 * Every place at which a transaction of this 32-bit number was prepared or ended, also as a subtransaction, in the order of the WAL. There are
 * several when the number has come round again.
 *
 * Errors: as `LandmarkReader.read`.
 */
export async function findTransaction(
  repository: Repository,
  inventory: WalInventory,
  question: HistoryRange & { readonly xid: number },
): Promise<TransactionMention[]> {
  const found: TransactionMention[] = [];
  for await (const mention of mentionsOf(repository, inventory, question)) found.push(mention);
  return found;
}

async function* mentionsOf(
  repository: Repository,
  inventory: WalInventory,
  question: HistoryRange & { readonly xid: number },
): AsyncGenerator<TransactionMention, void> {
  const { lineage, timeline, from, xid } = question;
  const to = question.to ?? contiguousEnd(inventory, lineage, timeline, from);
  const reader = new LandmarkReader(repository, inventory, { lineage, timeline });
  for await (const landmark of reader.read({ from, to, mayHold: (summary) => mayHoldXid(summary, xid) })) {
    if (landmark.kind !== 'transaction' && landmark.kind !== 'prepared') continue;
    const own = landmark.kind === 'transaction' ? landmark.transaction.xid : landmark.prepared.xid;
    const isSubtransaction = own !== xid;
    if (isSubtransaction) {
      if (landmark.kind !== 'transaction' || !landmark.transaction.subtransactionXids.includes(xid)) continue;
    }
    const fullXid = reader.nextXid === null ? null : fullXidNear(own, reader.nextXid);
    yield { landmark, isSubtransaction, fullXid };
  }
}

function mayHoldXid({ xids }: LandmarkSummary, xid: number): boolean {
  if (xids === null || xids === 'unknown') return xids === 'unknown';
  // The first number of this form that is not below the least.
  const first = xids.least + ((((BigInt(xid) - xids.least) % EPOCH) + EPOCH) % EPOCH);
  return first <= xids.greatest;
}
