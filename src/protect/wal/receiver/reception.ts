import { randomBytes } from 'node:crypto';
import { assert, type Clock, codeOf, type HoldfastError } from '../../../lib/index.ts';
import { formatSegmentName, segmentNumberOf, segmentOffsetOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import type { LineageInventory, StoredFragment } from '../inventory.ts';
import type { CollectedBlock } from '../landmarks/index.ts';
import { LsnCoverage, type LsnRange, minLsn } from '../lsn-ranges.ts';
import { fragmentObjectName } from '../object-names.ts';
import { isWalDamage, type WalObject } from '../stored-wal.ts';
import { type ComparedObject, Comparison, type Divergence } from './comparison.ts';
import type { Continuation } from './continuation.ts';
import { checkSegment, deleteFragments, keepLandmarks, storeSegment } from './join-segment.ts';
import type { Persistence } from './persistence.ts';
import { type SegmentBuffer, SegmentBuffers } from './segment-buffer.ts';
import { SegmentChecker } from './segment-checker.ts';

/** What is due and longer is stored in several fragments, so that memory and objects stay small while WAL comes fast. */
const FRAGMENT_BYTES_MAX = 4 * 1024 * 1024;

/** A segment up to this size is stored whole instead of its last fragment, when no commit waits: it takes well below a second. */
const DIRECT_JOIN_BYTES_MAX = 64 * 1024 * 1024;

/** Whole segments that wait to be joined; more hold the server back. With the one that arrives they are at most 48 MiB of memory. */
const SEGMENTS_WAITING_MAX = 2;

/** Fragments on their way at the same time, and the least time between two: far from the store a commit waits for little more than one answer. */
const FRAGMENTS_UNDER_WAY_MAX = 4;
const FRAGMENT_STEP_MS_MIN = 10;

/** The store's own time is taken off the flush interval, but never more than this part of it. */
const LEAD_PART_MAX = 0.5;

export interface ReceptionOptions {
  readonly repository: Repository;
  readonly lineage: LineageInventory;
  readonly timeline: number;
  /** The start of a segment. */
  readonly start: bigint;
  /** Nothing is stored, and no flush position is given, before the comparison has come here. */
  readonly storedUntil: bigint;
  /** Everything stored at or behind `start` that the server's WAL must equal. */
  readonly stored: readonly ComparedObject[];
  /** The same as the store has it now: another receiver may have joined what is to be compared. */
  readonly listStored?: () => Promise<readonly ComparedObject[]>;
  /** Where nothing is stored to be compared, but what is stored ends at `start`: the proof that this WAL goes on from it. */
  readonly continuation?: Continuation | null;
  /** The receiver's own id, in the names of its fragments. */
  readonly receiver: string;
  readonly spoolDirectory: string;
  readonly clock: Clock;
  readonly flushIntervalMs: number;
  /** True while a commit may be waiting: then WAL is stored as soon as it comes. */
  readonly isUrgent: () => boolean;
  readonly persistence: Persistence;
  readonly emit: (event: WalEvent) => void;
  /** The unbroken durable WAL has grown to `lsn`. */
  readonly onDurable: (lsn: bigint) => void;
}

interface ArrivingSegment {
  readonly number: bigint;
  readonly buffer: SegmentBuffer;
  /** Settled when it is joined, or known to stay in fragments. */
  joined: Promise<void> | null;
}

/**
 * One run of WAL as it arrives on one timeline: compared with what is stored, kept at hand, stored in fragments while it is new, joined
 * into segments when they are whole.
 *
 *   take ─▶ compare ─▶ buffer ─┬─▶ fragments: what comes while one is on its way goes into the next (group commit)
 *                              └─▶ whole segment: check, store, read back, delete its fragments
 *
 * From a store that is far away an answer takes so long that a few fragments are on their way at the same time, and two segments.
 *
 * `durable` is the end of what has come and is stored without a gap from the start on; nothing else may be reported as flushed.
 */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #segmentBytes: number;
  readonly #comparison: Comparison;
  readonly #checker: SegmentChecker;
  readonly #buffers: SegmentBuffers;
  #received: bigint;
  /** Until it has proved that the WAL goes on from what is stored. */
  #continuation: Continuation | null;
  #stored: readonly ComparedObject[];
  /** What this reception has stored itself. */
  readonly #own = new LsnCoverage();
  #ownFragments: StoredFragment[] = [];
  #coverage: LsnCoverage;
  /** Segments that are to be stored whole, without fragments for what is missing of them. */
  readonly #direct = new Set<bigint>();
  readonly #segments = new Map<bigint, ArrivingSegment>();
  #checks: Promise<void> = Promise.resolve();
  #joins: Promise<void> = Promise.resolve();

  /** When the first byte came that is not stored, on the clock's monotonic scale. */
  #unstoredSince: number | null = null;
  #lastStoreMs = 0;
  #isFlushing = false;
  #isHurried = false;
  #isClosed = false;
  #hasFailed = false;
  #wake: () => void = () => {};
  #storing: Promise<void> | null = null;
  /** The fragments that are on their way to the store, each settled when it is there, or will never be. */
  readonly #underWay = new Map<LsnRange, Promise<void>>();
  /** When the last of them was begun, on the clock's monotonic scale. */
  #begunAt = 0;
  #waitingForDurable: (() => void)[] = [];
  #taking: Promise<void> = Promise.resolve();

  readonly #compared = Promise.withResolvers<void>();
  readonly #diverged = Promise.withResolvers<Divergence>();
  readonly #failed = Promise.withResolvers<never>();

  constructor(options: ReceptionOptions) {
    const { lineage, stored, start } = options;
    this.#options = options;
    this.#segmentBytes = lineage.header.segmentBytes;
    this.#received = start;
    this.#stored = stored;
    this.#coverage = this.#cover();
    this.#continuation = options.continuation ?? null;
    const onDamage = (object: WalObject, error: HoldfastError) => this.#onDamage(object, error);
    this.#comparison = new Comparison(options.repository, stored, onDamage, options.listStored);
    this.#buffers = new SegmentBuffers(this.#segmentBytes, options.spoolDirectory);
    this.#checker = new SegmentChecker(this.#segmentBytes, lineage.system);
    this.#failed.promise.catch(() => {});
    this.#passComparison();
  }

  /** Settled when all that was stored before has been compared. */
  get compared(): Promise<void> {
    return this.#compared.promise;
  }

  /** Settled when the server's WAL is not the stored one; from then on nothing is taken. */
  get diverged(): Promise<Divergence> {
    return this.#diverged.promise;
  }

  /** Rejected when something cannot be stored for good. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  get received(): bigint {
    return this.#received;
  }

  get isComparing(): boolean {
    return this.#received < this.#options.storedUntil || this.#continuation !== null;
  }

  /** Stored bytes that were found equal. */
  get comparedBytes(): bigint {
    return this.#comparison.comparedBytes;
  }

  /** What is stored beyond what has come was not compared with this server's WAL, and is no word about it. */
  get durable(): bigint {
    return minLsn(this.#coverage.unbrokenEnd(this.#options.start), this.#received);
  }

  /** Takes the next WAL of the stream; settled when there is room for more. */
  take(lsn: bigint, data: Buffer): Promise<void> {
    const taking = this.#takeAll(lsn, data);
    this.#taking = taking.catch(() => {}); // The stream hears of it.
    return taking;
  }

  async #takeAll(lsn: bigint, data: Buffer): Promise<void> {
    if (this.#isClosed) return;
    assert(lsn === this.#received, 'WAL arrives without a gap');
    for (let offset = 0; offset < data.length && !this.#isClosed; ) {
      const room = this.#segmentBytes - segmentOffsetOf(this.#received, this.#segmentBytes);
      const part = data.subarray(offset, offset + room);
      await this.#takePart(part);
      offset += part.length;
    }
    this.#wake();
    await this.#waitForRoom();
  }

  /** Stores from now on as soon as WAL comes, beginning with what has come already. */
  hurry(): void {
    this.#isHurried = true;
    this.#wake();
  }

  /** Stores all that has come, takes nothing more, and settles when it is durable. */
  async finish(): Promise<void> {
    this.#isClosed = true;
    try {
      await this.#taking;
      this.#isFlushing = true;
      this.#wake();
      await this.#storing;
      await this.#joins;
    } finally {
      for (const { buffer } of this.#segments.values()) await buffer.close();
      this.#segments.clear();
    }
  }

  async #takePart(part: Buffer): Promise<void> {
    const start = this.#received;
    const divergence = (await this.#comparison.check(start, part)) ?? this.#checkContinuation(part);
    if (divergence !== null) {
      this.#isClosed = true;
      this.#diverged.resolve(divergence);
      return;
    }
    const segment = await this.#segmentAt(start);
    await segment.buffer.write(segmentOffsetOf(start, this.#segmentBytes), part);
    const durableBefore = this.durable;
    this.#received += BigInt(part.length);
    this.#unstoredSince ??= this.#options.clock.monotonic();
    this.#passComparison();
    // What was stored already, behind a gap that has just been filled, becomes durable by being compared.
    if (!this.isComparing && this.durable > durableBefore) this.#options.onDurable(this.durable);
    if (segmentOffsetOf(this.#received, this.#segmentBytes) === 0) this.#completeSegment(segment);
  }

  #checkContinuation(part: Buffer): Divergence | null {
    if (this.#continuation === null) return null;
    const found = this.#continuation.check(part);
    if (found === 'broken') return { lsn: this.#options.start, objectName: '' };
    if (found === 'proved') this.#continuation = null;
    return null;
  }

  #passComparison(): void {
    if (this.isComparing || this.#storing !== null) return;
    this.#compared.resolve();
    this.#storing = this.#storeFragments().catch((error) => this.#fail(error));
    this.#options.onDurable(this.durable);
  }

  async #segmentAt(lsn: bigint): Promise<ArrivingSegment> {
    const number = segmentNumberOf(lsn, this.#segmentBytes);
    const known = this.#segments.get(number);
    if (known !== undefined) return known;
    const segment = { number, buffer: await this.#buffers.open(), joined: null };
    this.#segments.set(number, segment);
    return segment;
  }

  async #waitForRoom(): Promise<void> {
    const waiting = [...this.#segments.values()].filter((segment) => segment.joined !== null);
    if (waiting.length >= SEGMENTS_WAITING_MAX) await Promise.race([waiting[0]!.joined, this.#failed.promise]);
  }

  // Fragments.

  async #storeFragments(): Promise<void> {
    while (!this.#hasFailed) {
      const range = this.#nextFragment();
      if (range !== null) this.#beginFragment(range);
      // A segment that is to be stored whole may yet turn out to need fragments.
      else if (this.#isFlushing && this.#direct.size === 0 && this.#underWay.size === 0) return;
      else await this.#sleepUntilDue();
    }
    await Promise.all(this.#underWay.values());
  }

  /** What is to be stored now: the first missing bytes, inside one segment, when they are due and another fragment may be on its way. */
  #nextFragment(): LsnRange | null {
    const missing = this.#firstMissing();
    if (missing === null) {
      this.#unstoredSince = null;
      return null;
    }
    return this.#isDue(missing) && this.#msUntilRoom() <= 0 ? missing : null;
  }

  /**
   * How long the next fragment has to wait for those on their way. They follow each other in even steps: whatever the store's time, no more than a
   * few are on their way, and from a disk, which answers within one step, one after the other.
   */
  #msUntilRoom(): number {
    if (this.#underWay.size === 0) return 0;
    if (this.#underWay.size >= FRAGMENTS_UNDER_WAY_MAX) return Number.POSITIVE_INFINITY;
    const step = Math.max(FRAGMENT_STEP_MS_MIN, this.#lastStoreMs / FRAGMENTS_UNDER_WAY_MAX);
    return this.#begunAt + step - this.#options.clock.monotonic();
  }

  #firstMissing(): LsnRange | null {
    let from = this.#options.start;
    for (;;) {
      const missing = this.#coverage.firstMissing({ start: from, end: this.#received });
      if (missing === null) return null;
      const number = segmentNumberOf(missing.start, this.#segmentBytes);
      const segmentEnd = (number + 1n) * BigInt(this.#segmentBytes);
      const underWay = [...this.#underWay.keys()];
      const own = underWay.find(({ start, end }) => start <= missing.start && missing.start < end);
      if (own !== undefined) from = own.end;
      else if (this.#direct.has(number)) from = segmentEnd;
      else {
        const next = underWay.reduce(
          (end, { start }) => (start > missing.start ? minLsn(end, start) : end),
          segmentEnd,
        );
        const end = minLsn(minLsn(missing.end, next), missing.start + BigInt(FRAGMENT_BYTES_MAX));
        return { start: missing.start, end };
      }
    }
  }

  #isDue(missing: LsnRange): boolean {
    if (this.#isFlushing || this.#isHurried || this.#options.isUrgent() || this.#msUntilDue() <= 0) return true;
    // Of a segment that came to its end nothing more is awaited.
    return segmentNumberOf(missing.start, this.#segmentBytes) < segmentNumberOf(this.#received, this.#segmentBytes);
  }

  #msUntilDue(): number {
    const { flushIntervalMs, clock } = this.#options;
    const lead = Math.min(this.#lastStoreMs, flushIntervalMs * LEAD_PART_MAX);
    return (this.#unstoredSince ?? clock.monotonic()) + flushIntervalMs - lead - clock.monotonic();
  }

  async #sleepUntilDue(): Promise<void> {
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const waits: Promise<void>[] = [woken];
    // Without new WAL there is nothing to be due, and only an arrival wakes us.
    const missing = this.#firstMissing();
    const until =
      missing === null ? null : Math.max(this.#isDue(missing) ? 1 : this.#msUntilDue(), this.#msUntilRoom(), 1);
    if (until !== null && Number.isFinite(until)) waits.push(this.#options.clock.sleep(until, timer.signal));
    await Promise.race(waits);
    timer.abort();
  }

  #beginFragment(range: LsnRange): void {
    this.#begunAt = this.#options.clock.monotonic();
    const stored = this.#storeFragment(range).catch((error) => this.#fail(error));
    this.#underWay.set(
      range,
      stored.finally(() => {
        this.#underWay.delete(range);
        this.#wake();
      }),
    );
  }

  async #storeFragment(range: LsnRange): Promise<void> {
    const { lineage, timeline, receiver, clock, persistence, emit } = this.#options;
    const begun = clock.monotonic();
    // What is left over for another fragment is no younger than this one.
    if (range.end === this.#received) this.#unstoredSince = null;
    const segment = this.#segments.get(segmentNumberOf(range.start, this.#segmentBytes));
    assert(segment !== undefined, 'WAL that is not durable is kept at hand');
    const offset = segmentOffsetOf(range.start, this.#segmentBytes);
    const bytes = await segment.buffer.read(offset, offset + Number(range.end - range.start));
    let fragment = { timeline, start: range.start, end: range.end, receiver };
    let objectName = fragmentObjectName(lineage, fragment);
    while (!(await persistence.run(() => this.#isStored(objectName, bytes)))) {
      // Damaged since an earlier connection stored it. What has a name is never written again, so that this gets another.
      fragment = { ...fragment, receiver: randomBytes(receiver.length / 2).toString('hex') };
      objectName = fragmentObjectName(lineage, fragment);
    }
    this.#ownFragments.push({ ...fragment, objectName });
    this.#lastStoreMs = clock.monotonic() - begun;
    emit({ kind: 'fragment-stored', timeline, range });
    this.#addDurable(range);
  }

  /** Stores a fragment. False when its name is taken and does not hold these bytes, as it does where an earlier attempt's answer was lost. */
  async #isStored(objectName: string, bytes: Uint8Array): Promise<boolean> {
    const { repository } = this.#options;
    if ((await repository.putBody('wal-fragment', objectName, bytes)) === 'created') return true;
    try {
      return (await repository.getBody('wal-fragment', objectName)).equals(bytes);
    } catch (error) {
      if (isWalDamage(error)) return false;
      throw error;
    }
  }

  // Segments.

  #completeSegment(segment: ArrivingSegment): void {
    const { start, end } = this.#boundsOf(segment.number);
    const isStoredWhole = this.#stored.some(
      (object) => object.kind === 'wal-segment' && object.start === start && object.comparedEnd === end,
    );
    const missing = this.#coverage.firstMissing({ start, end });
    if (
      missing !== null &&
      !this.#isHurried &&
      !this.#options.isUrgent() &&
      this.#segmentBytes <= DIRECT_JOIN_BYTES_MAX
    ) {
      this.#direct.add(segment.number);
      this.#unstoredSince = null;
    }
    const turn = async (before: Promise<void>) => {
      if (!isStoredWhole) return this.#join(segment, before);
      await before;
      if (!this.#hasFailed) await this.#release(segment);
    };
    const joined = turn(this.#joins).catch((error) => this.#fail(error));
    this.#joins = joined;
    segment.joined = joined;
  }

  /**
   * A segment is checked when the one before was, and stored while that one still is. What follows waits for `before`: the commit index is stored in the
   * order of the segments.
   */
  async #join(segment: ArrivingSegment, before: Promise<void>): Promise<void> {
    const { repository, lineage, timeline, persistence, emit } = this.#options;
    const read = () => segment.buffer.pieces(this.#segmentBytes);
    const whole = { place: lineage, timeline, number: segment.number, segmentBytes: this.#segmentBytes, read };
    const check = () => persistence.run(() => checkSegment(repository, this.#checker, whole));
    let block: CollectedBlock | null;
    try {
      const checked = this.#checks.then(() => (this.#hasFailed ? null : check()));
      this.#checks = checked.then(
        () => {},
        () => {}, // Told below; the next segment is judged by itself.
      );
      block = await checked;
      if (this.#hasFailed) return;
      const segmentName = await persistence.run(() => storeSegment(repository, whole));
      emit({ kind: 'segment-stored', segmentName });
    } catch (error) {
      if (!isKeptInFragments(error)) throw error;
      const segmentName = formatSegmentName(timeline, segment.number, this.#segmentBytes);
      emit({ kind: 'alarm', alarm: 'segment-not-joined', segmentName, error });
      await this.#release(segment);
      return;
    }
    const bounds = this.#boundsOf(segment.number);
    this.#addDurable(bounds);
    await before;
    if (this.#hasFailed) return;
    await keepLandmarks(repository, this.#checker, whole, block);
    await this.#release(segment);
    await this.#deleteFragmentsIn(bounds);
  }

  /** Gives the buffer back when all of the segment is durable in one form or the other. */
  async #release(segment: ArrivingSegment): Promise<void> {
    this.#direct.delete(segment.number);
    this.#wake();
    const bounds = this.#boundsOf(segment.number);
    while (this.#coverage.firstMissing(bounds) !== null)
      await Promise.race([this.#nextDurable(), this.#failed.promise]);
    this.#segments.delete(segment.number);
    await segment.buffer.close();
  }

  #nextDurable(): Promise<void> {
    return new Promise((resolve) => this.#waitingForDurable.push(resolve));
  }

  /** A fragment of the segment may be on its way to the store while the whole segment overtakes it; it would be left behind. */
  async #deleteFragmentsIn(bounds: LsnRange): Promise<void> {
    const { repository, lineage, timeline } = this.#options;
    await Promise.all(this.#underWay.values());
    const isInside = (fragment: LsnRange) => fragment.start >= bounds.start && fragment.end <= bounds.end;
    const before = lineage.timelines.get(timeline)?.fragments.filter(isInside) ?? [];
    await deleteFragments(repository, [...before, ...this.#ownFragments.filter(isInside)]);
    this.#ownFragments = this.#ownFragments.filter((fragment) => !isInside(fragment));
  }

  #boundsOf(number: bigint): LsnRange {
    const size = BigInt(this.#segmentBytes);
    return { start: number * size, end: (number + 1n) * size };
  }

  /** Nothing is stored any more; whoever waits for something to be stored hears of it. */
  #fail(error: unknown): void {
    this.#hasFailed = true;
    this.#failed.reject(error);
    this.#wake();
  }

  // What is durable.

  #addDurable(range: LsnRange): void {
    this.#own.add(range);
    this.#coverage.add(range);
    this.#options.onDurable(this.durable);
    for (const resolve of this.#waitingForDurable.splice(0)) resolve();
    this.#wake();
  }

  #onDamage(damaged: WalObject, error: HoldfastError): void {
    this.#stored = this.#stored.filter((object) => object.objectName !== damaged.objectName);
    this.#coverage = this.#cover();
    this.#options.emit({ kind: 'alarm', alarm: 'damaged', objectName: damaged.objectName, error });
  }

  #cover(): LsnCoverage {
    const stored = this.#stored.map(({ start, comparedEnd }) => ({ start, end: comparedEnd }));
    return new LsnCoverage([...stored, ...this.#own.ranges]);
  }
}

/** Trouble with one segment only: its bytes stay in fragments, and the receiver goes on. */
function isKeptInFragments(error: unknown): error is HoldfastError {
  return ['WAL_SEGMENT_UNSOUND', 'WAL_SEGMENT_DIFFERS', 'OBJECT_DAMAGED', 'OBJECT_TRUNCATED'].includes(
    codeOf(error) ?? '',
  );
}
