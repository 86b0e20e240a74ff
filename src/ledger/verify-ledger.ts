import { HoldfastError } from '../lib/index.ts';
import { isAbsent, kindPrefix, type Repository } from '../repository/index.ts';
import { type Head, hashEntry, parseEntryName, readEntry } from './entry.ts';
import { findRegressions } from './regression.ts';
import { RememberedHeads } from './remembered-heads.ts';

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
  for (const { writer, remembered, found } of await findRegressions(repository, heads)) {
    const detail = `Entry ${remembered?.seq} was there and is now ${found}.`;
    report.problems.push({ name: `${kindPrefix('ledger')}${writer}`, problem: 'regressed', detail });
  }
  let chain: Chain | null = null;
  for await (const { name } of repository.store.list(kindPrefix('ledger'))) {
    const place = parseEntryName(name);
    if (place === null) {
      report.problems.push({ name, problem: 'foreign', detail: 'No writer makes an entry of this name.' });
      continue;
    }
    if (chain?.writer !== place.writer) {
      if (chain !== null) report.writers.push(chain.summary());
      chain = new Chain(repository, place.writer, report.problems);
    }
    await chain.follow(name, place.seq);
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

  async follow(name: string, seq: number): Promise<void> {
    const expectedSeq = (this.#head?.seq ?? 0) + 1;
    const gap = seq !== expectedSeq;
    if (gap)
      this.#problems.push({ name, problem: 'gap', detail: `Expected entry ${expectedSeq}, found entry ${seq}.` });
    const stored = await this.#get(name);
    if (stored === null) return;
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

  async #get(name: string): Promise<Buffer | null> {
    try {
      return await this.#repository.store.get(name);
    } catch (error) {
      if (!isAbsent(error)) throw error;
      this.#problems.push({ name, problem: 'gap', detail: 'It was listed, but it is not there.' });
      return null;
    }
  }
}
