import { HoldfastError, mapAhead } from '../lib/index.ts';
import { committedName, isAbsent, kindPrefix, type Repository } from '../repository/index.ts';
import { entryName, type LedgerEntry, parseEntryName, readEntry } from './entry.ts';

/** Writers that are asked about at once. */
const READS_MAX = 8;
/** Entries behind the head of a chain among which the newest backup is looked for: those of days. */
const ENTRIES_MAX = 50;

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
  const last = new Map<string, number>();
  for await (const { name } of repository.store.list(kindPrefix('ledger'))) {
    const place = parseEntryName(name);
    if (place !== null) last.set(place.writer, place.seq);
  }
  const hidden: HiddenSnapshot[] = [];
  const look = ([writer, seq]: [string, number]) => findNewestBackup(repository, writer, seq);
  for await (const entry of mapAhead(last, { atOnceMax: READS_MAX }, look)) {
    if (entry === null || (await repository.store.stat(committedName(entry.subject))) !== null) continue;
    hidden.push({ snapshot: entry.subject, writer: entry.writer, at: entry.at });
  }
  return hidden;
}

async function findNewestBackup(repository: Repository, writer: string, head: number): Promise<LedgerEntry | null> {
  for (let seq = head; seq > Math.max(0, head - ENTRIES_MAX); seq--) {
    const name = entryName(writer, seq);
    try {
      const entry = readEntry(repository, name, await repository.store.get(name));
      if (entry.action === 'backup' && entry.outcome === 'done') return entry;
    } catch (error) {
      if (!isAbsent(error) && !(error instanceof HoldfastError && UNREADABLE_CODES.has(error.code))) throw error;
    }
  }
  return null;
}

const UNREADABLE_CODES = new Set([
  'OBJECT_DAMAGED',
  'LEDGER_ENTRY_REFUSED',
  'RECORD_UNRECOGNIZED',
  'OBJECT_NEWER',
  'KEY_EPOCH_ABSENT',
]);
