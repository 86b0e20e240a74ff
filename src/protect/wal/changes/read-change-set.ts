import { mapAhead } from '../../../lib/index.ts';
import { formatLsn, WAL_PAGE_BYTES, WalScanner } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { contiguousEndIn } from '../continuity.ts';
import { findLineage, type LineageInventory, type WalInventory } from '../inventory.ts';
import { listSegmentRuns, type SegmentRun } from '../landmarks/index.ts';
import { minLsn } from '../lsn-ranges.ts';
import type { WalRange } from '../scan.ts';
import { StoredWal } from '../stored-wal.ts';
import { pathInLineage, type TimelineStretch } from '../timeline-path.ts';
import { CHANGES_LEVEL_MAX, readChanges, segmentsOfLevel } from './change-objects.ts';
import { type ChangeSet, ChangeSetMerger } from './change-set.ts';
import { openRecordOf, RecordChanges } from './collector.ts';
import type { OpenRecord, SegmentChanges } from './segment-changes.ts';

/** What WAL says of a range, or why it does not: a reason in words. */
export type ReadChangeSet =
  | {
      readonly kind: 'known';
      readonly set: ChangeSet;
      /** Segments whose change sets were stored, and bytes of WAL that were read for want of one. */
      readonly storedSegments: number;
      readonly scannedBytes: number;
    }
  | { readonly kind: 'not-known'; readonly reason: string };

/** Objects that are asked for at once. */
const READS_AHEAD = { atOnceMax: 8 };

/** A stretch of segments and what is stored of it; null where the WAL has to be read. */
interface Part {
  readonly first: bigint;
  readonly changes: SegmentChanges | null;
}

/**
 * The blocks that the records of a range change: of those that begin at `from` or later and before `to`, each the start of a record.
 *
 * What is stored of whole segments is taken from there; the two segments in which the range begins and ends, and any other of which nothing is
 * stored, are read as WAL.
 *
 * Errors: OBJECT_DAMAGED when WAL that has to be read is lost; WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the store.
 */
export async function readChangeSet(
  repository: Repository,
  inventory: WalInventory,
  range: WalRange,
): Promise<ReadChangeSet> {
  const lineage = findLineage(inventory, range.lineage);
  const end = contiguousEndIn(lineage, range.timeline, range.from);
  if (end < range.to) {
    return notKnown(`WAL is stored without a gap only up to ${formatLsn(end)}, not up to ${formatLsn(range.to)}`);
  }
  const reader = new ChangeReader(repository, lineage, range);
  for await (const part of mapAhead(reader.plan(), READS_AHEAD, ({ first, level }) => reader.read(first, level))) {
    for await (const piece of reader.divide(part)) {
      const why = await reader.take(piece);
      if (why !== null) return notKnown(why);
    }
  }
  const why = await reader.finish();
  return why === null ? reader.result() : notKnown(why);
}

class ChangeReader {
  readonly #repository: Repository;
  readonly #lineage: LineageInventory;
  readonly #path: readonly TimelineStretch[];
  readonly #range: WalRange;
  readonly #runs: readonly SegmentRun[];
  readonly #size: bigint;
  readonly #merger = new ChangeSetMerger();
  #at: bigint;
  /** Of the record that reaches over `#at`. */
  #open: OpenRecord = { kind: 'none' };
  #storedSegments = 0;
  #scannedBytes = 0;

  constructor(repository: Repository, lineage: LineageInventory, range: WalRange) {
    this.#repository = repository;
    this.#lineage = lineage;
    this.#range = range;
    this.#path = pathInLineage(lineage, range.timeline);
    this.#runs = listSegmentRuns(lineage, this.#path);
    this.#size = BigInt(lineage.header.segmentBytes);
    this.#at = range.from;
  }

  /** The largest objects that lie in the range, as if all were there. */
  *plan(): Generator<{ first: bigint; level: number }> {
    // A range that begins with a segment begins with a record in it: what reaches into the segment is before the range.
    const end = this.#range.to / this.#size;
    for (let first = this.#range.from / this.#size + 1n; first < end; ) {
      let level = CHANGES_LEVEL_MAX;
      while (level > 0 && (first % segmentsOfLevel(level) !== 0n || first + segmentsOfLevel(level) > end)) level -= 1;
      yield { first, level };
      first += segmentsOfLevel(level);
    }
  }

  async read(first: bigint, level: number): Promise<Part & { level: number }> {
    const last = first + segmentsOfLevel(level) - 1n;
    const run = this.#runs.find((run) => run.first <= first && last <= run.last);
    const changes = run === undefined ? null : await readChanges(this.#repository, run.place, first, level);
    return { first, level, changes };
  }

  /** The part itself, or what there is of its segments where it is not stored. */
  async *divide(part: Part & { level: number }): AsyncGenerator<Part> {
    if (part.changes !== null || part.level === 0) {
      yield part;
      return;
    }
    const level = part.level - 1;
    const step = segmentsOfLevel(level);
    const end = part.first + segmentsOfLevel(part.level);
    for (let first = part.first; first < end; first += step) yield* this.divide(await this.read(first, level));
  }

  /** Adds one part; gives the reason why it cannot be known what the WAL changes, null mostly. */
  async take({ first, changes }: Part): Promise<string | null> {
    const start = first * this.#size;
    if (this.#at < start) {
      const why = await this.#scan(start);
      if (why !== null) return why;
    }
    if (changes === null || (!changes.isHeadKnown && this.#open.kind !== 'known')) {
      return this.#scan(start + this.#size);
    }
    if (!changes.isHeadKnown && this.#open.kind === 'known') this.#merger.addReferences(this.#open.references);
    if (changes.hasMinimal) return MINIMAL;
    this.#merger.add(changes.set);
    this.#open = changes.tail;
    this.#at = start + BigInt(changes.segments) * this.#size;
    this.#storedSegments += changes.segments;
    return null;
  }

  finish(): Promise<string | null> {
    return this.#scan(this.#range.to);
  }

  result(): ReadChangeSet {
    return {
      kind: 'known',
      set: this.#merger.finish(),
      storedSegments: this.#storedSegments,
      scannedBytes: this.#scannedBytes,
    };
  }

  /** Reads the WAL from where we are up to `to`. */
  async #scan(to: bigint): Promise<string | null> {
    while (this.#at < to) {
      const why = await this.#scanSegment(minLsn(to, (this.#at / this.#size + 1n) * this.#size));
      if (why !== null) return why;
    }
    return null;
  }

  /**
   * Reads up to the end of a segment. Of the record that reaches into it either is known what it changes, or the scan begins with it: what is
   * added twice changes nothing.
   */
  async #scanSegment(to: bigint): Promise<string | null> {
    const open = this.#open;
    const unknownFrom = open.kind === 'unknown' && open.lsn > this.#range.from ? open.lsn : this.#range.from;
    const from = open.kind === 'unknown' ? unknownFrom : this.#at;
    const startLsn = from - (from % BigInt(WAL_PAGE_BYTES));
    const { segmentBytes, system } = this.#lineage.header;
    const scanner = new WalScanner({ segmentSize: segmentBytes, startLsn, systemId: system });
    const changes = new RecordChanges();
    let hasHead = open.kind !== 'known';
    for await (const piece of new StoredWal(this.#repository, this.#lineage, this.#path).read(startLsn, to)) {
      this.#scannedBytes += piece.length;
      scanner.push(piece);
      for (let record = scanner.next(); record !== null; record = scanner.next()) {
        if (record.lsn >= from) changes.see(record);
      }
      if (!hasHead && scanner.hasBegunInside && open.kind === 'known') this.#merger.addReferences(open.references);
      hasHead = true;
      if (scanner.stopped !== null)
        return `the WAL at ${formatLsn(scanner.stopped.lsn)} cannot be read: ${scanner.stopped.detail}`;
    }
    if (changes.hasMinimal) return MINIMAL;
    this.#merger.add(changes.finish());
    this.#open = openRecordOf(scanner);
    this.#at = to;
    return null;
  }
}

const MINIMAL = 'for a while `wal_level` was `minimal`, and then not every change is written to the WAL';

function notKnown(reason: string): ReadChangeSet {
  return { kind: 'not-known', reason };
}
