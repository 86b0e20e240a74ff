import { parseSegmentName } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { contiguousEndIn } from '../continuity.ts';
import { findLineage, type LineageInventory, type WalInventory } from '../inventory.ts';
import type { WalLandmark } from '../landmark.ts';
import { maxLsn, minLsn } from '../lsn-ranges.ts';
import { landmarksPrefix, parseWalObjectName } from '../object-names.ts';
import { scanWal } from '../scan.ts';
import { pathInLineage } from '../timeline-path.ts';
import type { SegmentBlock } from './block.ts';
import { IndexAtHand } from './index-at-hand.ts';
import { FAN_OUT, indexObjectName } from './index-objects.ts';
import { listSegmentRuns, type SegmentRun } from './segment-runs.ts';
import type { LandmarkSummary } from './summary.ts';

const LSN_MAX = 1n << 64n;

/** What is wanted of a range. */
export interface LandmarkQuestion extends LandmarkRange {
  /**
   * Whether there can be a wanted landmark among those of a summary; where there cannot, nothing is read. Whatever is told may still be
   * unwanted.
   */
  readonly mayHold?: (summary: LandmarkSummary) => boolean;
}

/** What to do with segments of which there is a summary: leave them out, tell only the summary, or read what is in them. */
export type SummaryDecision = 'pass' | 'sum' | 'read';

/** WAL to go through. */
export interface LandmarkRange {
  readonly from: bigint;
  readonly to: bigint;
  /** So much WAL that has no index is read at most; behind it nothing more is told. */
  readonly scannedBytesMax?: bigint;
}

/**
 * Reads the landmarks of a chosen history by the commit index, and from the WAL itself where that has no index: the same landmarks in the same
 * order as `scanWal` tells them. Unlike that, it does not notice WAL that is damaged since it was indexed.
 */
export class LandmarkReader {
  readonly #repository: Repository;
  readonly #inventory: WalInventory;
  readonly #lineage: LineageInventory;
  readonly #timeline: number;
  readonly #size: bigint;
  readonly #runs: readonly SegmentRun[];
  readonly #atHand: IndexAtHand;
  #nextXid: bigint | null = null;
  #isCut = false;

  /** Errors: WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT. */
  constructor(repository: Repository, inventory: WalInventory, history: { lineage: string; timeline: number }) {
    this.#repository = repository;
    this.#inventory = inventory;
    this.#lineage = findLineage(inventory, history.lineage);
    this.#timeline = history.timeline;
    this.#size = BigInt(this.#lineage.header.segmentBytes);
    this.#runs = listSegmentRuns(this.#lineage, pathInLineage(this.#lineage, history.timeline));
    this.#atHand = IndexAtHand.of(repository, this.#lineage);
  }

  /**
   * A full transaction number of about the time of the landmark that was told last, by which its 32 bits get their epoch; null while none is
   * known.
   */
  get nextXid(): bigint | null {
    return this.#nextXid;
  }

  /** Bytes of a segment of the history. */
  get segmentBytes(): bigint {
    return this.#size;
  }

  /**
   * The landmarks of records that begin at `from` or later and end before `to`, no further than WAL is stored without a gap.
   *
   * Errors: WAL_RECORD_UNREADABLE and OBJECT_DAMAGED when WAL that has no index cannot be read; those of the store.
   */
  async *read(question: LandmarkQuestion): AsyncGenerator<WalLandmark, void> {
    const { mayHold } = question;
    const decide = mayHold === undefined ? null : (found: LandmarkSummary) => (mayHold(found) ? 'read' : 'pass');
    for await (const part of this.#walk(question, decide)) if ('kind' in part) yield part;
  }

  /** True when something was left out, as more WAL without an index would have had to be read than was allowed. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /**
   * What lies in a range: landmarks one by one, or the summaries of whole segments, as `decide` says of each summary. A summary is never told
   * where a part of it may lie outside the range. Errors: as `read`.
   */
  summarize(
    range: LandmarkRange,
    decide: (summary: LandmarkSummary) => SummaryDecision = () => 'sum',
  ): AsyncGenerator<LandmarkSummary | WalLandmark, void> {
    return this.#walk(range, decide);
  }

  async *#walk(
    range: LandmarkRange,
    decide: ((summary: LandmarkSummary) => SummaryDecision) | null,
  ): AsyncGenerator<LandmarkSummary | WalLandmark, void> {
    const { from } = range;
    const end = minLsn(range.to, contiguousEndIn(this.#lineage, this.#timeline, from));
    if (end <= from) return;
    const last = (end - 1n) / this.#size;
    const inRange = ({ lsn, span }: WalLandmark) => lsn >= from && lsn + BigInt(span) <= end;
    /** The record that begins before the next segment and ends in it; null when there is none, undefined when that is not known. */
    let open: bigint | null | undefined;
    let scannable = range.scannedBytesMax ?? LSN_MAX;
    for (let number = from / this.#size; number <= last; ) {
      const isOpenInRange = open === null || (open !== undefined && open >= from);
      const bounds = { from, end, isOpenInRange };
      const found = decide === null ? null : await this.#findSummary(number, bounds, decide);
      if (found !== null) {
        if (found.decision === 'sum') yield found.summary;
        open = found.summary.tailLsn;
        number += BigInt(found.summary.segments);
        continue;
      }
      const start = number * this.#size;
      const block = await this.#readUsable(number);
      if (block === null) {
        const next = await this.#findNextUsable(number, last);
        const scanFrom = maxLsn(from, open ?? start);
        const to = next === null ? end : minLsn(end, headEnd(next, this.#size));
        if (to - scanFrom > scannable) {
          this.#isCut = true;
          yield* this.#scan({ from: scanFrom, to: scanFrom + scannable });
          return;
        }
        scannable -= to - scanFrom;
        yield* this.#scan({ from: scanFrom, to });
        // What reaches over the start of the next block stands there, or was read just now.
        open = next === null || next.isHeadKnown ? undefined : null;
        number = next?.number ?? last + 1n;
        continue;
      }
      if (!block.isHeadKnown && typeof open === 'bigint') {
        yield* this.#scan({ from: maxLsn(from, open), to: minLsn(end, headEnd(block, this.#size)) });
      }
      this.#nextXid = block.nextXid ?? this.#nextXid;
      for (const landmark of block.landmarks) if (inRange(landmark)) yield landmark;
      open = block.tail.kind === 'none' ? null : block.tail.lsn;
      number += 1n;
    }
  }

  /** The largest summary that begins with a segment and by which more need not be read. */
  async #findSummary(
    number: bigint,
    bounds: { end: bigint; isOpenInRange: boolean },
    decide: (summary: LandmarkSummary) => SummaryDecision,
  ): Promise<{ summary: LandmarkSummary; decision: SummaryDecision } | null> {
    const run = this.#runOf(number);
    if (run === null) return null;
    for await (const summary of this.#atHand.summaries.from(run, number)) {
      // A record that nobody counted ends in it.
      if (!summary.isWhole) continue;
      const decision = decide(summary);
      if (decision === 'pass') return { summary, decision };
      const isInside = (number + BigInt(summary.segments)) * this.#size <= bounds.end;
      if (decision === 'sum' && isInside && bounds.isOpenInRange) return { summary, decision };
    }
    return null;
  }

  #runOf(number: bigint): SegmentRun | null {
    return this.#runs.find(({ first, last }) => first <= number && number <= last) ?? null;
  }

  /** The block of a segment; null when it has none from which one can tell what is in the segment. */
  async #readUsable(number: bigint): Promise<SegmentBlock | null> {
    const run = this.#runOf(number);
    const block = run === null ? null : await this.#atHand.readBlock(run.place, number);
    return block !== null && isUsable(block) ? block : null;
  }

  /** The next block behind a segment that has none. A listing finds it, as there may be months of WAL without any. */
  async #findNextUsable(number: bigint, last: bigint): Promise<SegmentBlock | null> {
    for (const run of this.#runs) {
      const { place } = run;
      if (run.last <= number || run.first > last) continue;
      // The object of sixteen has its name from the first of them, which may lie before.
      for (let at = maxLsn(run.first, number + 1n); at <= minLsn(run.last, last) && at % FAN_OUT !== 0n; at++) {
        const block = await this.#readUsable(at);
        if (block !== null) return block;
      }
      const startAfter = `${indexObjectName(place, maxLsn(run.first, number + 1n) - 1n, 'one')}~`;
      for await (const { name } of this.#repository.store.list(landmarksPrefix(place), { startAfter })) {
        const parsed = parseWalObjectName(name);
        if (parsed?.kind !== 'landmarks') continue;
        const segment = parseSegmentName(parsed.segmentName, place.segmentBytes);
        if (segment.timeline !== place.timeline || segment.number > minLsn(run.last, last)) break;
        const members = parsed.part === 'sixteen' ? FAN_OUT : parsed.part === 'one' ? 1n : 0n;
        for (let at = segment.number; at < segment.number + members && at <= minLsn(run.last, last); at++) {
          const block = await this.#readUsable(at);
          if (block !== null) return block;
        }
      }
    }
    return null;
  }

  async *#scan(range: { from: bigint; to: bigint }): AsyncGenerator<WalLandmark, void> {
    const history = { lineage: this.#lineage.lineage, timeline: this.#timeline };
    for await (const landmark of scanWal(this.#repository, this.#inventory, { ...history, ...range })) {
      if (landmark.kind === 'event' && landmark.event.kind === 'checkpoint') this.#nextXid = landmark.event.nextXid;
      yield landmark;
    }
  }
}

/** Of a block without a known head one must know where the head ends, so that it can be read from the WAL. */
function isUsable(block: SegmentBlock): boolean {
  return block.isHeadKnown || block.firstRecordLsn !== null;
}

/** Up to where a block does not tell of the WAL: the start of its segment, or the first record that begins in it. */
function headEnd(block: SegmentBlock, size: bigint): bigint {
  return block.isHeadKnown ? block.number * size : (block.firstRecordLsn ?? (block.number + 1n) * size);
}
