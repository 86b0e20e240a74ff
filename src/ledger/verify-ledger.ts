import { HoldfastError, mapAhead } from '../lib/index.ts';
import { getIfThere, kindPrefix, type Repository } from '../repository/index.ts';
import { findLostByPrimary } from './copy-heads.ts';
import { type Head, hashEntry, parseEntryName, readEntry } from './entry.ts';
import { findRegressions } from './regression.ts';
import { RememberedHeads } from './remembered-heads.ts';

/** Entries that are asked for at once. */
const READS_MAX = 16;

/** What is wrong with one entry, or with the lack of it. */
export interface LedgerProblem {
  name: string;
  problem: 'gap' | 'broken-chain' | 'not-readable' | 'foreign' | 'regressed';
  detail: string;
}

/** What a walk over the ledger found. Without problems every chain is whole from its first entry to its head. */
export interface LedgerReport {
  writers: { writer: string; entries: number; head: Head }[];
  problems: LedgerProblem[];
}

/**
 * Walks the chain of every writer: no gap, each entry signed and following the one before, every remembered head still there.
 *
 * The heads of sound chains are remembered in the state directory, those of other writers, too, so that what is hidden later is noticed.
 * Errors: those of the store; `STATE_UNREADABLE`, `STATE_UNWRITABLE`.
 */
export async function verifyLedger(repository: Repository, stateDirectory: string): Promise<LedgerReport> {
  const heads = new RememberedHeads(stateDirectory, repository.id);
  const report: LedgerReport = { writers: [], problems: [] };
  const lost = [
    ...(await findRegressions(repository, heads)),
    ...(await findLostByPrimary(repository, stateDirectory)),
  ];
  for (const { writer, remembered, found, knownBy } of lost) {
    const detail = `Entry ${remembered?.seq} was there and is now ${found}${knownBy === null ? '' : `, as ${knownBy} shows`}.`;
    report.problems.push({ name: `${kindPrefix('ledger')}${writer}`, problem: 'regressed', detail });
  }
  let chain: Chain | null = null;
  const read = async ({ name }: { name: string }) => {
    const place = parseEntryName(name);
    return { name, place, stored: place === null ? null : await getIfThere(repository.store, name) };
  };
  const listed = repository.store.list(kindPrefix('ledger'));
  for await (const { name, place, stored } of mapAhead(listed, { atOnceMax: READS_MAX }, read)) {
    if (place === null) {
      report.problems.push({ name, problem: 'foreign', detail: 'No writer makes an entry of this name.' });
      continue;
    }
    if (chain?.writer !== place.writer) {
      if (chain !== null) report.writers.push(chain.summary());
      chain = new Chain(repository, place.writer, report.problems);
    }
    chain.follow(name, place.seq, stored);
  }
  if (chain !== null) report.writers.push(chain.summary());
  if (report.problems.length === 0) for (const { writer, head } of report.writers) await heads.remember(writer, head);
  return report;
}

/** One writer's chain as it is walked. */
class Chain {
  readonly writer: string;
  readonly #repository: Repository;
  readonly #problems: LedgerProblem[];
  #head: Head | null = null;
  #entries = 0;

  constructor(repository: Repository, writer: string, problems: LedgerProblem[]) {
    this.#repository = repository;
    this.writer = writer;
    this.#problems = problems;
  }

  /** `stored`: null when the entry was listed and is not there. */
  follow(name: string, seq: number, stored: Buffer | null): void {
    const expectedSeq = (this.#head?.seq ?? 0) + 1;
    const gap = seq !== expectedSeq;
    if (gap)
      this.#problems.push({ name, problem: 'gap', detail: `Expected entry ${expectedSeq}, found entry ${seq}.` });
    if (stored === null) {
      this.#problems.push({ name, problem: 'gap', detail: 'It was listed, but it is not there.' });
      return;
    }
    this.#check(name, stored, gap ? undefined : (this.#head?.sha256 ?? null));
    this.#head = { seq, sha256: hashEntry(stored) };
    this.#entries += 1;
  }

  summary(): { writer: string; entries: number; head: Head } {
    return { writer: this.writer, entries: this.#entries, head: this.#head ?? { seq: 0, sha256: '' } };
  }

  /** `expected`: the hash that the entry has to repeat; `undefined` behind a gap, where nobody knows it. */
  #check(name: string, stored: Buffer, expected: string | null | undefined): void {
    try {
      const { previous } = readEntry(this.#repository, name, stored);
      if (expected === undefined || previous === expected) return;
      const detail = `Expected it to follow ${expected ?? 'nothing'}, found that it follows ${previous ?? 'nothing'}.`;
      this.#problems.push({ name, problem: 'broken-chain', detail });
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      this.#problems.push({ name, problem: 'not-readable', detail: error.detail ?? error.message });
    }
  }
}
