import { codeOf } from '../lib/index.ts';
import { isAbsent, isUnreadableRecord, kindPrefix, type Repository } from '../repository/index.ts';
import { entryName, type LedgerEntry, parseEntryName, readEntry } from './entry.ts';

/** Entries behind the head of a chain that are looked at: those of days. */
const ENTRIES_MAX = 50;

/** The number of the last entry of each writer. Errors: those of the store. */
export async function listHeads(repository: Repository): Promise<Map<string, number>> {
  const last = new Map<string, number>();
  for await (const { name } of repository.store.list(kindPrefix('ledger'))) {
    const place = parseEntryName(name);
    if (place !== null) last.set(place.writer, place.seq);
  }
  return last;
}

/** The newest entries of a chain, the last one first. Entries that cannot be read are for `verifyLedger` to name. Errors: those of the store. */
export async function* readTail(repository: Repository, writer: string, head: number): AsyncGenerator<LedgerEntry> {
  for (let seq = head; seq > Math.max(0, head - ENTRIES_MAX); seq--) {
    const name = entryName(writer, seq);
    try {
      yield readEntry(repository, name, await repository.store.get(name));
    } catch (error) {
      if (!isAbsent(error) && !isUnreadableRecord(error) && codeOf(error) !== 'LEDGER_ENTRY_REFUSED') throw error;
    }
  }
}
