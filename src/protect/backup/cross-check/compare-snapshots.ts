import { Fork, formatLsn, isUnusedPage, maskPage, parseLsn, parsePageHeader } from '../../../postgres/index.ts';
import {
  type DifferingPages,
  type FetchChunk,
  FINGERPRINT_BYTES,
  findDifferingPages,
  type Repository,
  readPage,
  type SnapshotRecord,
} from '../../../repository/index.ts';
import { type ChangeSet, firstAtOrAbove, forkKey, type WalInventory } from '../../wal/index.ts';
import { relationFileOf } from '../relation-file.ts';
import { CopiedPages } from './copied-pages.ts';
import type { CrossCheck } from './cross-check-increment.ts';
import { type Finding, FindingList } from './finding.ts';
import { forkOfFile } from './fork-of-file.ts';
import { readKnownChanges } from './known-changes.ts';

/** Chunks that are kept decoded: differing pages mostly lie in a row, and each chunk holds up to 128. */
const CHUNKS_KEPT_MAX = 16;

/**
 * Holds two snapshots of one server against each other (rule A9): what no WAL in between changed must be the same in both. The older is as often as not
 * an increment; the newer read everything.
 *
 * With T the start of the older and E the end of the newer, a page is compared when its fingerprints differ, no record of [T, E) names it or cuts it off,
 * and the newer page's position does not lie between the newer's start and E; and it is compared masked, as hints come and go without a record. Free
 * space maps and visibility maps are not logged in full, and are left out. Records up to E and not only up to the newer's start are looked at, as a page
 * that is changed while it is read may be half of each: so none has to be read twice. A page that the older one does not have counts as zeros there.
 *
 * Errors: those of `readChangeSet`, of trees and chunks, and of the store.
 */
export async function compareSnapshots(options: {
  repository: Repository;
  inventory: WalInventory;
  older: SnapshotRecord;
  newer: SnapshotRecord;
  readChunk: FetchChunk;
}): Promise<CrossCheck> {
  const { inventory, older, newer } = options;
  const why = whyNotComparable(older, newer);
  if (why !== null) return { kind: 'not-known', reason: why };
  const { lineage, timeline } = newer.wal;
  const from = parseLsn(older.wal.start);
  const [startLsn, endLsn] = [parseLsn(newer.wal.start), parseLsn(newer.wal.end)];
  const changes = await readKnownChanges(options.repository, inventory, { lineage, timeline, from, to: endLsn });
  if (changes.kind === 'not-known') return changes;
  const fetch = keepingChunks(options.readChunk);
  const findings = new FindingList<Finding>();
  let blocks = 0;
  const copied = new CopiedPages(newer.tree.root, fetch);
  const unchanged = new UnchangedBlocks(changes.set);
  const isWanted = (path: string) => unchanged.mayBeIn(path);
  try {
    for await (const found of findDifferingPages(older.tree.root, newer.tree.root, options.readChunk, isWanted)) {
      for (const page of unchanged.among(found)) {
        blocks += 1;
        if (!(await isDifferent(found, page, { startLsn, endLsn, fetch }))) continue;
        if (isOnlyInNewer(found, page) && (await isCopied(copied, found, page))) continue;
        findings.add(findingAt(found, page));
      }
    }
  } catch (error) {
    // What was found is told, though the rest cannot be read. That is found and told by `verify`, and by a restore.
    if (findings.count === 0) throw error;
  }
  const { count, first } = findings;
  if (count === 0) return { kind: 'agrees', blocks };
  return { kind: 'differs', findings: { from, to: startLsn, count, first } };
}

function whyNotComparable(older: SnapshotRecord, newer: SnapshotRecord): string | null {
  const [one, other] = [older.wal, newer.wal];
  if (one.system !== other.system || one.lineage !== other.lineage) return 'they are not of the same lineage of WAL';
  if (one.timeline !== other.timeline) return `one is of timeline ${one.timeline}, the other of ${other.timeline}`;
  return parseLsn(one.start) < parseLsn(other.start) ? null : `both begin at ${formatLsn(parseLsn(one.start))}`;
}

function forkOf(path: string) {
  return forkOfFile(relationFileOf(path)!);
}

/** Tells which blocks no record names. */
class UnchangedBlocks {
  readonly #byFork: ReadonlyMap<string, ChangeSet[number]>;

  constructor(set: ChangeSet) {
    this.#byFork = new Map(set.map((fork) => [forkKey(fork), fork]));
  }

  /** Whether a file is one of a relation, whose every change is logged, and was neither made anew nor cut before it begins. */
  mayBeIn(path: string): boolean {
    const file = relationFileOf(path);
    if (file === null || file.fork === 'fsm' || file.fork === 'vm') return false;
    const { name, base } = forkOfFile(file);
    if (this.#byFork.has(forkKey({ ...name, relationNumber: 0, fork: Fork.main }))) return false;
    return (this.#byFork.get(forkKey(name))?.limit ?? Number.POSITIVE_INFINITY) > base;
  }

  /** Pages of the leaf, of those that differ, which were neither changed nor cut off. */
  among({ path, firstPage, pages }: DifferingPages): readonly number[] {
    const { name, base } = forkOf(path);
    const changes = this.#byFork.get(forkKey(name));
    if (changes === undefined) return pages;
    const { limit, blocks } = changes;
    return pages.filter((page) => {
      const block = base + firstPage + page;
      return (limit === null || block < limit) && blocks[firstAtOrAbove(blocks, block)] !== block;
    });
  }
}

async function isDifferent(
  { path, firstPage, older, newer }: DifferingPages,
  page: number,
  { startLsn, endLsn, fetch }: { startLsn: bigint; endLsn: bigint; fetch: FetchChunk },
): Promise<boolean> {
  const after = await readPage(newer, page, fetch);
  const { lsn } = parsePageHeader(after);
  // The page was changed after the newer backup began: WAL tells of it, and replay brings it about. There is none yet of a position behind its end.
  if (startLsn <= lsn && lsn < endLsn) return false;
  const before = await readPage(older, page, fetch);
  if (isUnusedPage(before) && isUnusedPage(after)) return false;
  const block = forkOf(path).base + firstPage + page;
  maskPage(before, block);
  maskPage(after, block);
  return !before.equals(after);
}

/** The server itself had no such page when the older one was taken: the lengths of files are its own. */
function isOnlyInNewer({ older }: DifferingPages, page: number): boolean {
  return page * FINGERPRINT_BYTES >= (older.fingerprints?.length ?? 0);
}

function isCopied(copied: CopiedPages, { path, firstPage, newer }: DifferingPages, page: number): Promise<boolean> {
  const at = page * FINGERPRINT_BYTES;
  return copied.isCopy(path, firstPage + page, newer.fingerprints!.subarray(at, at + FINGERPRINT_BYTES));
}

function findingAt({ path, firstPage }: DifferingPages, page: number): Finding {
  const { name, base } = forkOf(path);
  return { kind: 'differs', ...name, path, block: base + firstPage + page, lsn: null, relation: null };
}

/** Keeps the chunks that were asked for last. */
function keepingChunks(readChunk: FetchChunk): FetchChunk {
  const kept = new Map<string, Promise<Buffer>>();
  return (id) => {
    const key = Buffer.from(id).toString('hex');
    const known = kept.get(key);
    if (known !== undefined) return known;
    const reading = readChunk(id);
    kept.set(key, reading);
    // One that could not be read is asked for again.
    reading.catch(() => kept.delete(key));
    if (kept.size > CHUNKS_KEPT_MAX) kept.delete(kept.keys().next().value!);
    return reading;
  };
}
