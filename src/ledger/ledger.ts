import { assert, HoldfastError } from '../lib/index.ts';
import { getIfThere, type Repository, sealBody, signRecord } from '../repository/index.ts';
import { findLostByPrimary } from './copy-heads.ts';
import { entryName, type Head, hashEntry, type LedgerEntry, type LedgerEvent, readEntry } from './entry.ts';
import { findRegressions, headRegressed } from './regression.ts';
import { RememberedHeads } from './remembered-heads.ts';
import { type LedgerReport, verifyLedger } from './verify-ledger.ts';
import { readWriterId } from './writer-id.ts';

/** More conflicts in a row than processes of one writer can cause. */
const CONFLICTS_MAX = 1000;

/**
 * Opens the ledger for the writer that a state directory is, and finds its head.
 *
 * Entries that were written after the remembered head (by another process, or just before a crash) move the head forward once they are checked.
 * Errors: `LEDGER_HEAD_REGRESSED` when the store no longer has what it had; `LEDGER_CHAIN_BROKEN`; `STATE_UNREADABLE`, `STATE_UNWRITABLE`;
 * those of the store.
 */
export async function openLedger(repository: Repository, stateDirectory: string): Promise<Ledger> {
  const heads = new RememberedHeads(stateDirectory, repository.id);
  const checking = findRegressions(repository, heads);
  const checkingCopies = findLostByPrimary(repository, stateDirectory, { remember: true });
  checking.catch(() => {}); // Awaited below, unless the state directory cannot be read.
  checkingCopies.catch(() => {}); // The same.
  const writer = await readWriterId(stateDirectory);
  const ledger = new Ledger({
    repository,
    stateDirectory,
    heads,
    writer,
    head: (await heads.read()).get(writer) ?? null,
  });
  const next = ledger.readNext();
  next.catch(() => {}); // Of no interest when a head is gone.
  const regressions = [...(await checking), ...(await checkingCopies)];
  if (regressions.length > 0) throw headRegressed(regressions);
  await ledger.catchUp(next);
  return ledger;
}

/** One writer's end of the ledger. */
export class Ledger {
  /** 32 hexadecimal digits. */
  readonly writer: string;
  readonly #repository: Repository;
  readonly #stateDirectory: string;
  readonly #heads: RememberedHeads;
  #head: Head | null;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: {
    repository: Repository;
    stateDirectory: string;
    heads: RememberedHeads;
    writer: string;
    head: Head | null;
  }) {
    this.writer = options.writer;
    this.#repository = options.repository;
    this.#stateDirectory = options.stateDirectory;
    this.#heads = options.heads;
    this.#head = options.head;
  }

  /** The last entry that is known, `null` before the first. */
  get head(): Head | null {
    return this.#head;
  }

  /**
   * Adds an entry behind the last one. Durable, here and in the repository, when it returns. Calls may overlap; they are done one by one.
   *
   * Errors: `LEDGER_CHAIN_BROKEN`; `REPOSITORY_READ_ONLY`; `STATE_UNWRITABLE`; those of the store.
   */
  append(event: LedgerEvent): Promise<LedgerEntry> {
    const appended = this.#queue.then(() => this.#append(event));
    // A failed entry is its caller's to handle; the next one is tried nevertheless.
    this.#queue = appended.catch(() => {});
    return appended;
  }

  /** Walks the chain of every writer. Errors: those of the store. */
  verify(): Promise<LedgerReport> {
    return verifyLedger(this.#repository, this.#stateDirectory);
  }

  /** Moves the head over entries that came after it, checking each. `next`: as `readNext` gives it for the present head. */
  async catchUp(next: Promise<Buffer | null> = this.readNext()): Promise<void> {
    let stored = await next;
    if (stored === null) return;
    while (stored !== null) {
      this.#head = { seq: this.#nextSeq(), sha256: hashEntry(stored) };
      stored = await this.readNext();
    }
    await this.#remember();
  }

  async #append(event: LedgerEvent): Promise<LedgerEntry> {
    this.#repository.assertWritable();
    for (let conflicts = 0; conflicts <= CONFLICTS_MAX; conflicts++) {
      const entry = this.#compose(event);
      const name = entryName(this.writer, entry.seq);
      const body = Buffer.from(JSON.stringify(entry), 'utf8');
      const sealed = Buffer.concat(sealBody(this.#repository.keys, { kind: 'ledger', name }, body));
      const outcome = await this.#repository.store.putIfAbsent(name, sealed);
      if (outcome === 'created' || sealed.equals(await this.#repository.store.get(name))) {
        this.#head = { seq: entry.seq, sha256: hashEntry(sealed) };
        await this.#remember();
        return entry;
      }
      // Another process of this writer was faster: its entry is the one before ours.
      await this.catchUp();
    }
    throw chainBroken(
      entryName(this.writer, this.#nextSeq()),
      'Expected room behind the last entry, found none again and again.',
    );
  }

  #compose(event: LedgerEvent): LedgerEntry {
    const { action, outcome, subject, facts } = event;
    const at = new Date(this.#repository.clock.now()).toISOString();
    const previous = this.#head?.sha256 ?? null;
    const seq = this.#nextSeq();
    return signRecord(this.#repository.keys, {
      version: 1,
      writer: this.writer,
      seq,
      at,
      action,
      outcome,
      subject,
      facts,
      previous,
    });
  }

  /** The stored bytes of the next entry, `null` when there is none. Changes nothing. Errors: `LEDGER_CHAIN_BROKEN`; those of reading an entry. */
  async readNext(): Promise<Buffer | null> {
    const name = entryName(this.writer, this.#nextSeq());
    const stored = await getIfThere(this.#repository.store, name);
    if (stored === null) return null;
    const { previous } = readEntry(this.#repository, name, stored);
    const expected = this.#head?.sha256 ?? null;
    if (previous === expected) return stored;
    throw chainBroken(
      name,
      `Expected it to follow an entry of SHA-256 ${expected}, found that it follows ${previous}.`,
    );
  }

  #nextSeq(): number {
    return (this.#head?.seq ?? 0) + 1;
  }

  async #remember(): Promise<void> {
    assert(this.#head !== null, 'a chain with an entry has a head');
    await this.#heads.remember(this.writer, this.#head);
  }
}

function chainBroken(name: string, detail: string): HoldfastError {
  return new HoldfastError('LEDGER_CHAIN_BROKEN', `cannot go on with the ledger behind "${name}"`, {
    detail,
    hints: [
      'Walk the ledger with `holdfast verify`; an entry was replaced, or two machines use copies of one state directory.',
    ],
  });
}
