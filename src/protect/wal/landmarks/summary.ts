import { ByteReader, ByteWriter } from '../../../lib/index.ts';
import {
  type Timestamp,
  type TransactionEnd,
  timestampFromServer,
  timestampToServer,
} from '../../../postgres/index.ts';
import type { WalLandmark } from '../landmark.ts';
import type { SegmentBlock } from './block.ts';
import { fullXidNear } from './full-xid.ts';
import { unrecognized } from './unrecognized.ts';

/** What lies in one segment, or in several that follow each other, in short: enough to pass over them. */
export interface LandmarkSummary {
  /** The first segment, and how many there are. */
  readonly number: bigint;
  readonly segments: number;
  readonly commits: number;
  readonly aborts: number;
  /** PREPARE TRANSACTION. */
  readonly prepared: number;
  readonly restorePoints: number;
  /** Commits and aborts that removed files. */
  readonly removals: number;
  /** All landmarks that are no end of a transaction and none of the above: checkpoints and others. */
  readonly others: number;
  /** Of ends of transactions, commits and aborts. Null when there is none. */
  readonly ends: { readonly earliest: Timestamp; readonly latest: Timestamp } | null;
  readonly committed: { readonly earliest: Timestamp; readonly latest: Timestamp } | null;
  /** Of the transactions that ended, subtransactions among them, with epochs. `unknown` when some epoch is not known; null when there is none. */
  readonly xids: { readonly least: bigint; readonly greatest: bigint } | 'unknown' | null;
  /** False when a record whose beginning nobody saw ends in one of the segments: it is not counted. */
  readonly isWhole: boolean;
  /** The LSN of the record that begins in the last segment and ends behind it; null when there is none. */
  readonly tailLsn: bigint | null;
}

/** The summary of one segment. */
export function summarizeBlock(block: SegmentBlock): LandmarkSummary {
  const builder = new SummaryBuilder();
  for (const landmark of block.landmarks) builder.add(landmark);
  return builder.finish(block);
}

/** Sums up the landmarks of a segment as they come. Times are in µs since 2000-01-01 UTC, as numbers: there may be many thousands. */
export class SummaryBuilder {
  #commits = 0;
  #aborts = 0;
  #prepared = 0;
  #restorePoints = 0;
  #removals = 0;
  #others = 0;
  #earliestEnd = Number.POSITIVE_INFINITY;
  #latestEnd = Number.NEGATIVE_INFINITY;
  #earliestCommit = Number.POSITIVE_INFINITY;
  #latestCommit = Number.NEGATIVE_INFINITY;
  /** Some transaction; the others as distances from it, which wrap round as the numbers do. */
  #someXid: number | null = null;
  #leastXid = 0;
  #greatestXid = 0;

  add(landmark: WalLandmark): void {
    switch (landmark.kind) {
      case 'transaction': {
        const { outcome, at, xid, removedFiles, subtransactionXids } = landmark.transaction;
        this.addEnd(outcome, xid, Number(timestampToServer(at)));
        if (removedFiles.length > 0) this.#removals += 1;
        for (const sub of subtransactionXids) this.#addXid(sub);
        break;
      }
      case 'prepared':
        this.#prepared += 1;
        this.#addXid(landmark.prepared.xid);
        break;
      case 'event':
        if (landmark.event.kind === 'restore-point') this.#restorePoints += 1;
        else this.#others += 1;
        break;
      case 'storage':
        this.#others += 1;
        break;
    }
  }

  /** The end of a transaction that removed nothing and had no subtransactions. */
  addEnd(outcome: TransactionEnd['outcome'], xid: number, time: number): void {
    if (time < this.#earliestEnd) this.#earliestEnd = time;
    if (time > this.#latestEnd) this.#latestEnd = time;
    if (outcome === 'commit') {
      this.#commits += 1;
      if (time < this.#earliestCommit) this.#earliestCommit = time;
      if (time > this.#latestCommit) this.#latestCommit = time;
    } else this.#aborts += 1;
    this.#addXid(xid);
  }

  finish(block: Pick<SegmentBlock, 'number' | 'nextXid' | 'isHeadKnown' | 'tail'>): LandmarkSummary {
    return {
      number: block.number,
      segments: 1,
      commits: this.#commits,
      aborts: this.#aborts,
      prepared: this.#prepared,
      restorePoints: this.#restorePoints,
      removals: this.#removals,
      others: this.#others,
      ends: timesOf(this.#earliestEnd, this.#latestEnd),
      committed: timesOf(this.#earliestCommit, this.#latestCommit),
      xids: this.#xids(block.nextXid),
      isWhole: block.isHeadKnown,
      tailLsn: block.tail.kind === 'none' ? null : block.tail.lsn,
    };
  }

  #xids(nextXid: bigint | null): LandmarkSummary['xids'] {
    if (this.#someXid === null) return null;
    if (nextXid === null) return 'unknown';
    const some = fullXidNear(this.#someXid, nextXid);
    return { least: some + BigInt(this.#leastXid), greatest: some + BigInt(this.#greatestXid) };
  }

  #addXid(xid: number): void {
    this.#someXid ??= xid;
    const distance = (xid - this.#someXid) | 0;
    if (distance < this.#leastXid) this.#leastXid = distance;
    if (distance > this.#greatestXid) this.#greatestXid = distance;
  }
}

function timesOf(earliest: number, latest: number): { earliest: Timestamp; latest: Timestamp } | null {
  if (earliest > latest) return null;
  return { earliest: timestampFromServer(BigInt(earliest)), latest: timestampFromServer(BigInt(latest)) };
}

/** The summary of segments that follow each other, from those of their parts, in their order. */
export function mergeSummaries(parts: readonly [LandmarkSummary, ...LandmarkSummary[]]): LandmarkSummary {
  const sum = (count: (part: LandmarkSummary) => number) => parts.reduce((total, part) => total + count(part), 0);
  const [ends, committed, xids] = [new Range(), new Range(), new Range()];
  for (const part of parts) {
    if (part.ends !== null) ends.add(part.ends.earliest).add(part.ends.latest);
    if (part.committed !== null) committed.add(part.committed.earliest).add(part.committed.latest);
    if (part.xids !== null && part.xids !== 'unknown') xids.add(part.xids.least).add(part.xids.greatest);
  }
  return {
    number: parts[0].number,
    segments: sum((part) => part.segments),
    commits: sum((part) => part.commits),
    aborts: sum((part) => part.aborts),
    prepared: sum((part) => part.prepared),
    restorePoints: sum((part) => part.restorePoints),
    removals: sum((part) => part.removals),
    others: sum((part) => part.others),
    ends: ends.bounds('earliest', 'latest'),
    committed: committed.bounds('earliest', 'latest'),
    xids: parts.some((part) => part.xids === 'unknown') ? 'unknown' : xids.bounds('least', 'greatest'),
    isWhole: parts.every((part) => part.isWhole),
    tailLsn: parts.at(-1)!.tailLsn,
  };
}

class Range {
  #least: bigint | null = null;
  #greatest: bigint | null = null;

  add(value: bigint): this {
    if (this.#least === null || value < this.#least) this.#least = value;
    if (this.#greatest === null || value > this.#greatest) this.#greatest = value;
    return this;
  }

  bounds<Least extends string, Greatest extends string>(
    least: Least,
    greatest: Greatest,
  ): Record<Least | Greatest, bigint> | null {
    if (this.#least === null || this.#greatest === null) return null;
    return { [least]: this.#least, [greatest]: this.#greatest } as Record<Least | Greatest, bigint>;
  }
}

const VERSION = 1;
const HAS_ENDS = 1;
const HAS_COMMITS = 2;
const HAS_XIDS = 4;
const XIDS_UNKNOWN = 8;
const IS_WHOLE = 16;
const HAS_TAIL = 32;

/**
 * Shape:  u8 version 1 · u8 level · u16 count · for each, 104 bytes: u64 first segment · u32 segments · u8 flags · 3 zero · u64 commits ·
 *         u64 aborts · u32 prepared · u32 restore points · u32 removals · u32 others · earliest and latest end, earliest and latest commit
 *         (int64 µs since 2000-01-01 UTC) · u64 least and greatest xid · u64 LSN of the tail.
 */
export function encodeSummaries(level: number, summaries: readonly LandmarkSummary[]): Buffer {
  const writer = new ByteWriter(4 + summaries.length * 104).u8(VERSION).u8(level).u16(summaries.length);
  for (const summary of summaries) {
    const { ends, committed, xids } = summary;
    const known = xids === 'unknown' ? null : xids;
    const flags =
      (ends === null ? 0 : HAS_ENDS) |
      (committed === null ? 0 : HAS_COMMITS) |
      (known === null ? 0 : HAS_XIDS) |
      (xids === 'unknown' ? XIDS_UNKNOWN : 0) |
      (summary.isWhole ? IS_WHOLE : 0) |
      (summary.tailLsn === null ? 0 : HAS_TAIL);
    writer.u64(summary.number).u32(summary.segments).u8(flags).u8(0).u16(0);
    writer.u64(BigInt(summary.commits)).u64(BigInt(summary.aborts));
    writer.u32(summary.prepared).u32(summary.restorePoints).u32(summary.removals).u32(summary.others);
    for (const time of [ends?.earliest, ends?.latest, committed?.earliest, committed?.latest]) {
      writer.u64(BigInt.asUintN(64, time === undefined ? 0n : timestampToServer(time)));
    }
    writer
      .u64(known?.least ?? 0n)
      .u64(known?.greatest ?? 0n)
      .u64(summary.tailLsn ?? 0n);
  }
  return writer.finish();
}

/** The inverse of `encodeSummaries`. Errors: WAL_LANDMARKS_UNRECOGNIZED, BYTES_TRUNCATED, BYTES_TRAILING. */
export function decodeSummaries(body: Buffer): LandmarkSummary[] {
  const reader = new ByteReader(body);
  const version = reader.u8();
  if (version !== VERSION) throw unrecognized(version);
  reader.u8();
  const summaries = Array.from({ length: reader.u16() }, () => decodeSummary(reader));
  reader.end();
  return summaries;
}

function decodeSummary(reader: ByteReader): LandmarkSummary {
  const number = reader.u64();
  const segments = reader.u32();
  const flags = reader.u8();
  reader.u8();
  reader.u16();
  const [commits, aborts] = [Number(reader.u64()), Number(reader.u64())];
  const [prepared, restorePoints, removals, others] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
  const time = () => timestampFromServer(BigInt.asIntN(64, reader.u64()));
  const ends = { earliest: time(), latest: time() };
  const committed = { earliest: time(), latest: time() };
  const xids = { least: reader.u64(), greatest: reader.u64() };
  const tailLsn = reader.u64();
  return {
    ...{ number, segments, commits, aborts, prepared, restorePoints, removals, others },
    ends: (flags & HAS_ENDS) === 0 ? null : ends,
    committed: (flags & HAS_COMMITS) === 0 ? null : committed,
    xids: (flags & XIDS_UNKNOWN) !== 0 ? 'unknown' : (flags & HAS_XIDS) === 0 ? null : xids,
    isWhole: (flags & IS_WHOLE) !== 0,
    tailLsn: (flags & HAS_TAIL) === 0 ? null : tailLsn,
  };
}
