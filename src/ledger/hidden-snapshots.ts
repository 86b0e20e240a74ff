import { mapAhead } from '../lib/index.ts';
import { committedName, listForgottenIds, type Repository } from '../repository/index.ts';
import { listHeads, readTail } from './chain-tails.ts';
import type { LedgerEntry } from './entry.ts';

/** Writers that are asked about at once. */
const READS_MAX = 8;

/** A backup that the ledger says was done, and of which no record is there. */
export interface HiddenSnapshot {
  readonly snapshot: string;
  readonly writer: string;
  readonly at: string;
}

/**
 * The newest backup of each writer, where its snapshot is not there: somebody hides or took away what is newest (rule B4).
 *
 * Reads the ends of the chains alone; entries that cannot be read are for `verifyLedger` to name. Errors: those of the store.
 */
export async function findHiddenSnapshots(repository: Repository): Promise<HiddenSnapshot[]> {
  const last = await listHeads(repository);
  const hidden: HiddenSnapshot[] = [];
  const look = ([writer, seq]: [string, number]) => findNewestBackup(repository, writer, seq);
  let forgotten: ReadonlySet<string> | null = null;
  for await (const entry of mapAhead(last, { atOnceMax: READS_MAX }, look)) {
    if (entry === null || (await repository.store.stat(committedName(entry.subject))) !== null) continue;
    // Dropped with intent, and that was recorded before it went.
    forgotten ??= await listForgottenIds(repository);
    if (forgotten.has(entry.subject)) continue;
    hidden.push({ snapshot: entry.subject, writer: entry.writer, at: entry.at });
  }
  return hidden;
}

async function findNewestBackup(repository: Repository, writer: string, head: number): Promise<LedgerEntry | null> {
  for await (const entry of readTail(repository, writer, head))
    if (entry.action === 'backup' && entry.outcome === 'done') return entry;
  return null;
}
