import { createHash } from 'node:crypto';
import { z } from 'zod';
import { assert, HoldfastError } from '../lib/index.ts';
import {
  facts,
  getIfThere,
  hexId,
  kindPrefix,
  moment,
  type ObjectStore,
  openBody,
  type Repository,
  readRecord,
  shortHexId,
  whyNotSigned,
} from '../repository/index.ts';

const ledgerEntry = z.object({
  version: z.literal(1),
  writer: shortHexId,
  /** From 1, without a gap. */
  seq: z.number().int().positive(),
  at: moment,
  /** What was done, such as `backup`. */
  action: z.string().min(1),
  outcome: z.enum(['started', 'done', 'failed', 'refused']),
  /** What it was done to, such as the id of a snapshot. */
  subject: z.string(),
  facts,
  /** SHA-256 of the stored bytes of the entry before, `null` for the first. */
  previous: hexId.nullable(),
  publicKey: z.string(),
  signature: z.string(),
});

/** One thing that was done. */
export type LedgerEntry = z.infer<typeof ledgerEntry>;

/** What whoever does something says about it. */
export type LedgerEvent = Pick<LedgerEntry, 'action' | 'outcome' | 'subject' | 'facts'>;

/** An entry by its number and the SHA-256 of its stored bytes. */
export interface Head {
  seq: number;
  sha256: string;
}

const SEQ_DIGITS = 16;

export function entryName(writer: string, seq: number): string {
  assert(Number.isSafeInteger(seq) && seq > 0, 'entries are counted from 1');
  return `${kindPrefix('ledger')}${writer}/${String(seq).padStart(SEQ_DIGITS, '0')}`;
}

/** Reverses `entryName`; `null` for a name that no writer makes. */
export function parseEntryName(name: string): { writer: string; seq: number } | null {
  const match = /^ledger\/([0-9a-f]{32})\/([0-9]{16})$/.exec(name);
  const seq = Number(match?.[2] ?? 0);
  return match === null || seq === 0 || !Number.isSafeInteger(seq) ? null : { writer: match[1]!, seq };
}

/** SHA-256 of the bytes of an entry as they are stored, hexadecimal: what the next entry and every remembered head repeat. */
export function hashEntry(stored: Uint8Array): string {
  return createHash('sha256').update(stored).digest('hex');
}

/** The hash of an entry as a store has it, `null` when it has none of that number. Errors: those of the store. */
export async function hashStored(store: ObjectStore, writer: string, seq: number): Promise<string | null> {
  const stored = await getIfThere(store, entryName(writer, seq));
  return stored === null ? null : hashEntry(stored);
}

/**
 * Reads one entry from its stored bytes and checks that it is what its name says and that it was signed.
 *
 * Errors: `OBJECT_DAMAGED` and the like; `LEDGER_ENTRY_REFUSED` naming what is wrong.
 */
export function readEntry(repository: Repository, name: string, stored: Uint8Array): LedgerEntry {
  const place = parseEntryName(name);
  if (place === null) throw refuse(name, 'Expected a name made of a writer and a number, found another.');
  const value = parseJson(name, openBody(repository.keys, { kind: 'ledger', name }, stored));
  const entry = readRecord(ledgerEntry, name, value);
  if (entry.writer !== place.writer || entry.seq !== place.seq) {
    throw refuse(name, `Expected the entry that its name says, found entry ${entry.seq} of writer ${entry.writer}.`);
  }
  const reason = whyNotSigned(repository.keys, value);
  if (reason !== null)
    throw refuse(name, `Expected a valid signature by the key of this repository, found: ${reason}.`);
  return entry;
}

function parseJson(name: string, body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw refuse(name, 'Its content is authentic but is not JSON.', error);
  }
}

function refuse(name: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('LEDGER_ENTRY_REFUSED', `cannot trust ledger entry "${name}"`, {
    detail,
    ...(cause === undefined ? {} : { cause }),
  });
}
