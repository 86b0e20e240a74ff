import { createHash } from 'node:crypto';
import { mapAhead } from '../lib/index.ts';
import {
  FORMAT_NAME,
  getIfThere,
  isPlaceTrouble,
  kindPrefix,
  type Repository,
  type StorePlace,
} from '../repository/index.ts';
import { AcknowledgedHeads } from './acknowledged-heads.ts';
import { type Head, hashStored, parseEntryName } from './entry.ts';
import type { Regression } from './regression.ts';
import { RememberedHeads } from './remembered-heads.ts';

/** Heads that are asked for at once. */
const READS_MAX = 16;

/**
 * What the primary lost or changed although a copy has it: a copy is filled from the primary alone, so that its ledger is what the primary had (rule B4).
 *
 * Copies that do not answer are passed over, those of another repository, whose ledger is another one, and what somebody has acknowledged before. With `remember` this host remembers the heads that copies have now. Errors: those of the primary;
 * `STATE_UNREADABLE`, and with `remember` `STATE_UNWRITABLE`.
 */
export async function findLostByPrimary(
  repository: Repository,
  stateDirectory: string,
  options: { remember?: boolean } = {},
): Promise<Regression[]> {
  const [primary, ...copies] = repository.store.places ?? [];
  if (primary === undefined || copies.length === 0) return [];
  const acknowledged = await new AcknowledgedHeads(stateDirectory, repository.id).read();
  const regressions = new Map<string, Regression>();
  for (const copy of copies) {
    if (await unlessAway(isOfAnother(repository, copy), true)) continue;
    const heads = await unlessAway(headsOf(copy), new Map<string, Head>());
    for (const [writer, head] of heads) {
      if (acknowledged.has(head.sha256) || (regressions.get(writer)?.remembered?.seq ?? 0) >= head.seq) continue;
      const hash = await hashStored(primary.store, writer, head.seq);
      if (hash === head.sha256) continue;
      const found = hash === null ? 'gone' : 'different';
      regressions.set(writer, { writer, remembered: head, found, knownBy: `copy "${copy.name}"` });
    }
    if (options.remember !== true) continue;
    const memory = new RememberedHeads(stateDirectory, repository.id, copy.name);
    for (const [writer, head] of heads) await memory.remember(writer, head);
  }
  return [...regressions.values()];
}

/** What a copy lost, which this host has seen there. */
export interface CopyRegression extends Regression {
  readonly place: string;
}

/**
 * What copies had and have no more, as this host remembers. The primary is none the worse: what a copy lacks is brought again.
 *
 * Errors: `STATE_UNREADABLE`; copies that do not answer are passed over.
 */
export async function findLostByCopies(repository: Repository, stateDirectory: string): Promise<CopyRegression[]> {
  const [, ...copies] = repository.store.places ?? [];
  const regressions: CopyRegression[] = [];
  for (const copy of copies) {
    const memory = new RememberedHeads(stateDirectory, repository.id, copy.name);
    regressions.push(...(await unlessAway(findLostIn(copy, memory), [])));
  }
  return regressions;
}

async function findLostIn({ name, store }: StorePlace, memory: RememberedHeads): Promise<CopyRegression[]> {
  const regressions: CopyRegression[] = [];
  for (const [writer, remembered] of await memory.read()) {
    const hash = await hashStored(store, writer, remembered.seq);
    if (hash === remembered.sha256) continue;
    const found = hash === null ? 'gone' : 'different';
    regressions.push({ place: name, writer, remembered, found, knownBy: null });
  }
  return regressions;
}

/** Whoever fills a copy refuses one of another repository; here it would pass for what the primary has lost. */
async function isOfAnother({ formatSha256 }: Repository, { store }: StorePlace): Promise<boolean> {
  const format = await getIfThere(store, FORMAT_NAME);
  return format !== null && createHash('sha256').update(format).digest('hex') !== formatSha256;
}

/** The last entry that a place has of each writer. */
async function headsOf({ store }: StorePlace): Promise<Map<string, Head>> {
  const last = new Map<string, number>();
  const heads = new Map<string, Head>();
  for await (const { name } of store.list(kindPrefix('ledger'))) {
    const place = parseEntryName(name);
    if (place !== null) last.set(place.writer, place.seq);
  }
  const read = async ([writer, seq]: [string, number]) => ({
    writer,
    seq,
    sha256: await hashStored(store, writer, seq),
  });
  for await (const { writer, seq, sha256 } of mapAhead(last, { atOnceMax: READS_MAX }, read)) {
    if (sha256 !== null) heads.set(writer, { seq, sha256 });
  }
  return heads;
}

/** What a copy answers, or `otherwise` when it does not: that it is away is told by whoever fills it, and is no reason to stop. */
async function unlessAway<T>(answer: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!isPlaceTrouble(error)) throw error;
    return otherwise;
  }
}
