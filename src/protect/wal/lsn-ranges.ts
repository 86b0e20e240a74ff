import { assert } from '../../lib/index.ts';

/** WAL from `start` up to but not including `end`. */
export interface LsnRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** The same bytes as the given ranges, in rising order, with no two that touch or overlap; empty ones are left out. */
export function mergeRanges(ranges: Iterable<LsnRange>): LsnRange[] {
  const sorted = [...ranges].filter((range) => range.end > range.start).sort((a, b) => compareLsn(a.start, b.start));
  const merged: LsnRange[] = [];
  for (const range of sorted) {
    const last = merged.at(-1);
    if (last === undefined || range.start > last.end) merged.push({ start: range.start, end: range.end });
    else if (range.end > last.end) merged[merged.length - 1] = { start: last.start, end: range.end };
  }
  return merged;
}

/** What `range` and `bounds` have in common, `null` when that is nothing. */
export function clipRange(range: LsnRange, bounds: LsnRange): LsnRange | null {
  const start = maxLsn(range.start, bounds.start);
  const end = minLsn(range.end, bounds.end);
  return end > start ? { start, end } : null;
}

/**
 * How far one can read from `lsn` without a gap. `merged` is what `mergeRanges` gives; `lsn` itself when the byte there is missing.
 * A position where a range ends counts as its end.
 */
export function unbrokenEnd(merged: readonly LsnRange[], lsn: bigint): bigint {
  const range = merged.find((candidate) => candidate.start <= lsn && lsn <= candidate.end);
  return range === undefined ? lsn : range.end;
}

/** What of `within` the ranges leave out, in rising order. */
export function missingRanges(merged: readonly LsnRange[], within: LsnRange): LsnRange[] {
  const missing: LsnRange[] = [];
  let at = within.start;
  for (const range of merged) {
    if (range.end <= at) continue;
    if (range.start >= within.end) break;
    if (range.start > at) missing.push({ start: at, end: range.start });
    at = range.end;
  }
  if (at < within.end) missing.push({ start: at, end: within.end });
  return missing;
}

/** For `sort`: LSNs do not fit into a number, so that their difference cannot be returned. */
export function compareLsn(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function minLsn(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function maxLsn(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Ranges that grow: which WAL is durable so far. */
export class LsnCoverage {
  #ranges: LsnRange[];

  constructor(ranges: Iterable<LsnRange> = []) {
    this.#ranges = mergeRanges(ranges);
  }

  get ranges(): readonly LsnRange[] {
    return this.#ranges;
  }

  add(range: LsnRange): void {
    assert(range.end >= range.start, 'a range of WAL does not end before it starts');
    this.#ranges = mergeRanges([...this.#ranges, range]);
  }

  /** The end of what is covered without a gap from `lsn` on. */
  unbrokenEnd(lsn: bigint): bigint {
    return unbrokenEnd(this.#ranges, lsn);
  }

  /** The first bytes inside `within` that are not covered, `null` when all are. */
  firstMissing(within: LsnRange): LsnRange | null {
    return missingRanges(this.#ranges, within)[0] ?? null;
  }
}
