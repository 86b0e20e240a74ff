import { ByteReader, ByteWriter } from '../../../lib/index.ts';
import { type Timestamp, timestampFromServer, timestampToServer } from '../../../postgres/index.ts';
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
  const counts = { commits: 0, aborts: 0, prepared: 0, restorePoints: 0, removals: 0, others: 0 };
  const ends = new Range();
  const committed = new Range();
  const xids = new Range();
  let isNumbered = true;
  const addXid = (xid: number) => {
    if (block.nextXid === null) isNumbered = false;
    else xids.add(fullXidNear(xid, block.nextXid));
  };
  for (const landmark of block.landmarks) {
    if (landmark.kind === 'transaction') {
      const { outcome, at, xid, removedFiles, subtransactionXids } = landmark.transaction;
      ends.add(at);
      if (outcome === 'commit') committed.add(at);
      counts[outcome === 'commit' ? 'commits' : 'aborts'] += 1;
      if (removedFiles.length > 0) counts.removals += 1;
      addXid(xid);
      for (const sub of subtransactionXids) addXid(sub);
    } else if (landmark.kind === 'prepared') {
      counts.prepared += 1;
      addXid(landmark.prepared.xid);
    } else if (landmark.kind === 'event' && landmark.event.kind === 'restore-point') counts.restorePoints += 1;
    else counts.others += 1;
  }
  const { tail } = block;
  return {
    number: block.number,
    segments: 1,
    ...counts,
    ends: ends.bounds('earliest', 'latest'),
    committed: committed.bounds('earliest', 'latest'),
    xids: isNumbered ? xids.bounds('least', 'greatest') : 'unknown',
    isWhole: block.isHeadKnown,
    tailLsn: tail.kind === 'none' ? null : tail.lsn,
  };
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
