import { randomBytes } from 'node:crypto';
import { assert, codeOf, type HoldfastError } from '../../../lib/index.ts';
import { formatSegmentName, segmentNumberOf, segmentOffsetOf } from '../../../postgres/index.ts';
import { BodyThread } from '../../../repository/index.ts';
import type { StoredFragment } from '../inventory.ts';
import { LsnCoverage, type LsnRange, minLsn } from '../lsn-ranges.ts';
import { FRAGMENT_BYTES_MAX, fragmentObjectName } from '../object-names.ts';
import { isWalDamage, type WalObject } from '../stored-wal.ts';
import { type ComparedObject, Comparison, type Divergence } from './comparison.ts';
import type { Continuation } from './continuation.ts';
import { FragmentPace } from './fragment-pace.ts';
import { checkSegment, deleteFragments, keepCollected, storeSegment, type WholeSegment } from './join-segment.ts';
import type { ReceptionOptions } from './reception-options.ts';
import { type SegmentBuffer, SegmentBuffers } from './segment-buffer.ts';
import { type CollectedSegment, SegmentChecker } from './segment-checker.ts';

/** A segment up to this size is stored whole instead of its last fragment, when no commit waits: it takes well below a second. */
const DIRECT_JOIN_BYTES_MAX = 64 * 1024 * 1024;

/** Whole segments that wait to be joined; more hold the server back. With the one that arrives they are at most 48 MiB of memory. */
const SEGMENTS_WAITING_MAX = 2;

/** Stored segments whose part of the commit index is not: what was gathered of each is in memory. */
const INDEXES_WAITING_MAX = 4;

/** A segment that fills in less time tells that there is work for another thread. */
const FAST_FILL_MS = 1_000;

interface ArrivingSegment {
  readonly number: bigint;
  readonly buffer: SegmentBuffer;
  /** When its first byte came, on the clock's monotonic scale. */
  readonly begunAt: number;
  /** True when all of it has come: it then waits to be stored. */
  isWhole: boolean;
  /** Settled when its buffer was given back: all of it is durable, and nobody looks at it any more. */
  readonly released: PromiseWithResolvers<void>;
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
  /** Stores whole segments while the next ones come; begun when one has filled as fast as only WAL does that was waiting. */
  #thread: BodyThread | null = null;
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
  /** Segments that have come and are not done with, in their order. */
  readonly #joining = new Set<Promise<void>>();

  readonly #pace: FragmentPace;
  #isFlushing = false;
  /** WAL before it is stored without delay. */
  #hurriedTo = 0n;
  #isClosed = false;
  #hasFailed = false;
  #wake: () => void = () => {};
  /** True while the storing of fragments waits for a moment, not only for what arrives. */
  #isTimed = false;
  #storing: Promise<void> | null = null;
  /** The fragments that are on their way to the store, each settled when it is there, or will never be. */
  readonly #underWay = new Map<LsnRange, Promise<void>>();
  #waitingForDurable: (() => void)[] = [];
  #taking: Promise<void> = Promise.resolve();

  readonly #compared = Promise.withResolvers<void>();
  readonly #diverged = Promise.withResolvers<Divergence>();
  readonly #failed = Promise.withResolvers<never>();

  constructor(options: ReceptionOptions) {
    const { lineage, stored, start } = options;
    this.#options = options;
    this.#pace = new FragmentPace(options);
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
    const segment = segmentNumberOf(lsn, this.#segmentBytes);
    for (let offset = 0; offset < data.length && !this.#isClosed; ) {
      const room = this.#segmentBytes - segmentOffsetOf(this.#received, this.#segmentBytes);
      const part = data.subarray(offset, offset + room);
      await this.#takePart(part);
      offset += part.length;
    }
    // Where it is known when the next fragment is due, more WAL of the same segment changes nothing.
    if (!this.#isTimed || this.#options.isUrgent() || segmentNumberOf(this.#received, this.#segmentBytes) !== segment)
      this.#wake();
    await this.#waitForRoom();
  }

  /** Stores what has come, and what comes, as soon as it can, up to a position. */
  hurry(to: bigint): void {
    if (to <= this.#hurriedTo) return;
    this.#hurriedTo = to;
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
      await this.#thread?.close();
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
    this.#pace.arrived();
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
    const begunAt = this.#options.clock.monotonic();
    const released = Promise.withResolvers<void>();
    const segment = { number, buffer: await this.#buffers.open(), begunAt, isWhole: false, released };
    this.#segments.set(number, segment);
    return segment;
  }

  async #waitForRoom(): Promise<void> {
    const waiting = [...this.#segments.values()].filter((segment) => segment.isWhole);
    if (waiting.length >= SEGMENTS_WAITING_MAX)
      await Promise.race([waiting[0]!.released.promise, this.#failed.promise]);
    const [first] = this.#joining;
    if (this.#joining.size > INDEXES_WAITING_MAX) await Promise.race([first, this.#failed.promise]);
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
      this.#pace.tookAll();
      return null;
    }
    return this.#isDue(missing) && this.#pace.msUntilRoom(this.#underWay.size) <= 0 ? missing : null;
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
    if (this.#isFlushing || missing.start < this.#hurriedTo || this.#options.isUrgent()) return true;
    if (this.#pace.msUntilDue() <= 0) return true;
    // Of a segment that came to its end nothing more is awaited.
    return segmentNumberOf(missing.start, this.#segmentBytes) < segmentNumberOf(this.#received, this.#segmentBytes);
  }

  async #sleepUntilDue(): Promise<void> {
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const waits: Promise<void>[] = [woken];
    // Without new WAL there is nothing to be due, and only an arrival wakes us.
    const missing = this.#firstMissing();
    const until = missing === null ? null : this.#msUntilNext(missing);
    this.#isTimed = until !== null && Number.isFinite(until);
    if (until !== null && this.#isTimed) waits.push(this.#options.clock.sleep(until, timer.signal));
    await Promise.race(waits);
    this.#isTimed = false;
    timer.abort();
  }

  #msUntilNext(missing: LsnRange): number {
    return Math.max(this.#isDue(missing) ? 1 : this.#pace.msUntilDue(), this.#pace.msUntilRoom(this.#underWay.size), 1);
  }

  #beginFragment(range: LsnRange): void {
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
    const { lineage, timeline, receiver, persistence, emit } = this.#options;
    const begunAt = this.#pace.begun();
    // What is left over for another fragment is no younger than this one.
    if (range.end === this.#received) this.#pace.tookAll();
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
    this.#pace.stored(begunAt);
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
    segment.isWhole = true;
    if (this.#options.clock.monotonic() - segment.begunAt < FAST_FILL_MS && segment.buffer.shared !== null)
      this.#thread ??= new BodyThread();
    const { start, end } = this.#boundsOf(segment.number);
    const isStoredWhole = this.#stored.some(
      (object) => object.kind === 'wal-segment' && object.start === start && object.comparedEnd === end,
    );
    const missing = this.#coverage.firstMissing({ start, end });
    if (
      missing !== null &&
      missing.start >= this.#hurriedTo &&
      !this.#options.isUrgent() &&
      this.#segmentBytes <= DIRECT_JOIN_BYTES_MAX
    ) {
      this.#direct.add(segment.number);
      this.#pace.tookAll();
    }
    const turn = async (before: Promise<void>) => {
      if (!isStoredWhole) return this.#join(segment, before);
      await before;
      if (!this.#hasFailed) await this.#release(segment);
    };
    const joined = turn(this.#joins).catch((error) => this.#fail(error));
    this.#joins = joined;
    this.#joining.add(joined);
    void joined.then(() => this.#joining.delete(joined));
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
    let collected: CollectedSegment | null;
    try {
      const checked = this.#checks.then(() => (this.#hasFailed ? null : check()));
      this.#checks = checked.then(
        () => {},
        () => {}, // Told below; the next segment is judged by itself.
      );
      collected = await checked;
      if (this.#hasFailed) return;
      const segmentName = await persistence.run(() => storeSegment(repository, { ...whole, ...this.#aside(segment) }));
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
    await this.#release(segment);
    await before;
    if (this.#hasFailed) return;
    await keepCollected(repository, this.#checker, whole, collected);
    await this.#deleteFragmentsIn(bounds);
  }

  #aside({ buffer: { shared } }: ArrivingSegment): Pick<WholeSegment, 'aside'> {
    return shared === null || this.#thread === null ? {} : { aside: { thread: this.#thread, bytes: shared } };
  }

  /** Gives the buffer back when all of the segment is durable in one form or the other, and no fragment is on its way that is a view of it. */
  async #release(segment: ArrivingSegment): Promise<void> {
    this.#direct.delete(segment.number);
    this.#wake();
    const bounds = this.#boundsOf(segment.number);
    while (this.#coverage.firstMissing(bounds) !== null)
      await Promise.race([this.#nextDurable(), this.#failed.promise]);
    const underWay = [...this.#underWay].filter(([{ start }]) => start >= bounds.start && start < bounds.end);
    await Promise.all(underWay.map(([, stored]) => stored));
    this.#segments.delete(segment.number);
    await segment.buffer.close();
    segment.released.resolve();
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
