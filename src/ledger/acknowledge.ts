import { HoldfastError } from '../lib/index.ts';
import { kindPrefix, type Repository } from '../repository/index.ts';
import { AcknowledgedHeads } from './acknowledged-heads.ts';
import { findLostByPrimary } from './copy-heads.ts';
import { type Head, hashEntry, parseEntryName } from './entry.ts';
import { openLedger } from './ledger.ts';
import { findRegressions, type Regression } from './regression.ts';
import { RememberedHeads } from './remembered-heads.ts';
import { readWriterId } from './writer-id.ts';

/**
 * Accepts that the store has lost or changed what it had, after a person has looked into it, and writes that down as an entry.
 *
 * What was remembered stands in that entry, so that it can still be compared should it come back. Without a regression it does nothing.
 * Errors: those of `openLedger` but `LEDGER_HEAD_REGRESSED`.
 */
export async function acknowledgeRegressions(repository: Repository, stateDirectory: string): Promise<Regression[]> {
  repository.assertWritable();
  const heads = new RememberedHeads(stateDirectory, repository.id);
  const regressions = await findRegressions(repository, heads);
  const lost = await findLostByPrimary(repository, stateDirectory);
  for (const { writer } of regressions) await heads.replace(writer, await findStoredHead(repository, writer));
  const acknowledged = new AcknowledgedHeads(stateDirectory, repository.id);
  for (const { remembered } of lost) if (remembered !== null) await acknowledged.add(remembered.sha256);
  // What both this host and a copy know is one loss.
  regressions.push(...lost.filter(({ writer }) => regressions.every((each) => each.writer !== writer)));
  regressions.push(...(await stepOverBrokenEntries(repository, stateDirectory, heads)));
  if (regressions.length === 0) return regressions;
  const ledger = await openLedger(repository, stateDirectory);
  for (const { writer, remembered, found } of regressions) {
    const facts = { seq: remembered?.seq ?? 0, sha256: remembered?.sha256 ?? null, found };
    await ledger.append({ action: 'ledger.acknowledge', outcome: 'done', subject: writer, facts });
  }
  return regressions;
}

/** Errors of an entry behind the head, which stop the writer whose chain it stands in. */
const BROKEN_CODES = new Set(['LEDGER_CHAIN_BROKEN', 'LEDGER_ENTRY_REFUSED', 'OBJECT_DAMAGED', 'RECORD_UNRECOGNIZED']);

/** Our own chain may go on behind its head with an entry that is damaged or none of ours: the last one stored becomes the head. */
async function stepOverBrokenEntries(
  repository: Repository,
  stateDirectory: string,
  heads: RememberedHeads,
): Promise<Regression[]> {
  try {
    await openLedger(repository, stateDirectory);
    return [];
  } catch (error) {
    if (!(error instanceof HoldfastError) || !BROKEN_CODES.has(error.code)) throw error;
    const writer = await readWriterId(stateDirectory);
    const remembered = (await heads.read()).get(writer) ?? null;
    await heads.replace(writer, await findStoredHead(repository, writer));
    return [{ writer, remembered, found: 'broken', knownBy: null }];
  }
}

/** The last entry that the store has of a writer, taken as it is: the chain behind it was acknowledged to be lost. */
async function findStoredHead(repository: Repository, writer: string): Promise<Head | null> {
  let last: { name: string; seq: number } | null = null;
  for await (const { name } of repository.store.list(`${kindPrefix('ledger')}${writer}/`)) {
    const place = parseEntryName(name);
    if (place !== null) last = { name, seq: place.seq };
  }
  return last === null ? null : { seq: last.seq, sha256: hashEntry(await repository.store.get(last.name)) };
}
