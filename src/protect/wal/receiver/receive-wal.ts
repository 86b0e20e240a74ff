import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { HoldfastError } from '../../../lib/index.ts';
import { startReplication, type WalStream } from '../../../postgres/index.ts';
import { describeGapNow } from '../gap-cost.ts';
import type { LineageInventory } from '../inventory.ts';
import { maxLsn } from '../lsn-ranges.ts';
import { noteFork } from '../note-fork.ts';
import type { LineagePlace } from '../object-names.ts';
import { forkAlarm, gapAlarm, serverShutDown } from './alarms.ts';
import { Announcer } from './announcer.ts';
import { beginChildLineage } from './begin-child-lineage.ts';
import { Companions } from './companions.ts';
import { FORK_PROOF_BYTES } from './find-fork.ts';
import { ForkSearch } from './fork-search.ts';
import { storeHistories } from './lineage-keeper.ts';
import {
  boundAnswer,
  isServerTrouble,
  type Link,
  type LinkOptions,
  openLink,
  refreshLink,
  SQL_STATE,
  sqlStateOf,
} from './link.ts';
import { makeReception } from './make-reception.ts';
import {
  FLUSH_INTERVAL_MS_DEFAULT,
  WAL_BUDGET_BYTES_DEFAULT,
  type WalReceiverOptions,
  type WalReceiverResult,
} from './options.ts';
import { OutageKeeper } from './outage-keeper.ts';
import { isStoreAway, Persistence } from './persistence.ts';
import { goneInOutage, leftInOutage } from './prepare-in-outage.ts';
import { pathOfServer } from './prepare-stream.ts';
import { ProgressKeeper } from './progress-keeper.ts';
import type { Reception } from './reception.ts';
import type { StreamPlan } from './resume-plan.ts';
import { serverSideName } from './server-side-name.ts';
import type { ServerReport } from './server-watch.ts';
import { SlotKeeper } from './slot-keeper.ts';
import { SpaceKeeper } from './space-keeper.ts';
import { INITIAL_STATE, isFinal, type ReceiverEvent, type ReceiverState, transition } from './state-machine.ts';
import { stopStream } from './stop-stream.ts';
import { StreamPreparer } from './stream-preparer.ts';
import { SynchronousKeeper } from './synchronous-keeper.ts';
import { WatchKeeper } from './watch-keeper.ts';

/** Doubled after each attempt that failed, up to the second. */
const RECONNECT_DELAY_MS_MIN = 250;
const RECONNECT_DELAY_MS_MAX = 15_000;

/**
 * Streams WAL into the repository until the signal is given or `until` is durable.
 *
 * Errors: what no waiting mends, such as WAL_SLOT_ACTIVE, WAL_SEGMENT_SIZE_CHANGED, WAL_HISTORY_DIFFERS, PG_VERSION_UNSUPPORTED,
 * STORE_DENIED, STORE_SYNC_FAILED; before the server has answered once, also a refused login. All else is told as an event, and tried again.
 */
export function receiveWal(options: WalReceiverOptions): Promise<WalReceiverResult> {
  return new WalReceiver(options).run();
}

/** What another attempt may find otherwise, besides the server's own trouble. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  ...['WAL_SERVER_BEHIND', 'WAL_SERVER_SHUT_DOWN', 'WAL_OUTAGE_UNSAFE', 'WAL_PRIMARY_BACK', 'STORE_SPOOL_FENCED'],
]);

type LivingState = Exclude<ReceiverState, 'stopped' | 'failed'>;

/** One run of WAL that is on its way. */
interface OpenStream {
  readonly stream: WalStream;
  readonly reception: Reception;
  readonly plan: StreamPlan;
}

/** The steps of all states. It is one class, although long, as each step works on what the one before has left. */
class WalReceiver {
  readonly #options: WalReceiverOptions;
  readonly #id = randomBytes(8).toString('hex');
  readonly #stop = new AbortController();
  readonly #stopRequested = Promise.withResolvers<void>();
  readonly #persistence: Persistence;
  readonly #linkOptions: LinkOptions;
  readonly #slots: SlotKeeper;
  readonly #companions: Companions;
  readonly #progress = new ProgressKeeper();
  readonly #steps: Record<LivingState, () => Promise<ReceiverEvent>>;

  /** Rejected when something beside the stream fails that must not. */
  readonly #background = Promise.withResolvers<never>();
  #until: bigint | null = null;
  #ended: 'signal' | 'until' = 'signal';
  #failure: unknown = null;
  #trouble: HoldfastError | null = null;
  #attempts = 0;
  #hasAnswered = false;
  #hasStreamed = false;
  #isStartGone = false;

  #link: Link | null = null;
  #lineage: LineageInventory | null = null;
  #open: OpenStream | null = null;
  #timeline: number | null = null;
  readonly #forks = new ForkSearch();
  /** The lineage that is tried first: the one that was followed, or that was begun for this server. */
  #preferred: string | null = null;
  readonly #watch = new WatchKeeper((error) => this.#background.reject(error));
  readonly #space: SpaceKeeper;
  readonly #announcer: Announcer;
  readonly #outage: OutageKeeper;
  readonly #preparer: StreamPreparer;
  readonly #synchronous: SynchronousKeeper;

  constructor(options: WalReceiverOptions) {
    const { clock, source, cluster, temporary = false } = options;
    this.#options = options;
    this.#announcer = new Announcer(options.onEvent);
    this.#background.promise.catch(() => {});
    const name = serverSideName(cluster);
    const applicationName = temporary ? `${name}_backup` : name;
    this.#linkOptions = { source, applicationName, clock, signal: this.#stop.signal };
    this.#slots = new SlotKeeper({
      name: options.slot ?? name,
      temporary,
      receiver: this.#id,
      link: this.#linkOptions,
    });
    this.#space = new SpaceKeeper({
      ...{ cluster, clock, slot: this.#slots.name, announcer: this.#announcer },
      budgetBytes: options.budgetBytes ?? WAL_BUDGET_BYTES_DEFAULT,
    });
    this.#persistence = new Persistence({
      clock,
      signal: this.#stop.signal,
      onAway: (error) => this.#announcer.alarm({ alarm: 'store-away', error }),
      onBack: () => this.#announcer.emit({ kind: 'recovered', alarm: 'store-away' }),
    });
    this.#outage = new OutageKeeper({
      ...{ repository: options.repository, clock, announcer: this.#announcer, outage: options.outage ?? null },
      onMoved: () => {
        if (this.#open !== null) this.#onDurable(this.#open.reception.durable);
      },
      onFailure: (error) => this.#background.reject(error),
    });
    this.#companions = new Companions(options, {
      ...{ announcer: this.#announcer, slot: this.#slots.name },
      place: () => this.#place(),
      tell: () => this.#tellStatus(),
      onFailure: (error) => this.#background.reject(error),
    });
    this.#preparer = new StreamPreparer(options, {
      ...{ receiver: this.#id, slots: this.#slots, outage: this.#outage, persistence: this.#persistence },
      ...{ companions: this.#companions, announcer: this.#announcer, signal: this.#stop.signal },
    });
    this.#synchronous = new SynchronousKeeper(applicationName, this.#announcer);
    this.#steps = {
      waiting: () => this.#wait(),
      connecting: () => this.#connect(),
      preparing: () => this.#prepare(),
      comparing: () => this.#follow('comparing'),
      streaming: () => this.#follow('streaming'),
      switching: () => this.#switchTimeline(),
      'locating-fork': () => this.#locateFork(),
      draining: () => this.#drain(),
    };
  }

  async run(): Promise<WalReceiverResult> {
    const { signal } = this.#options;
    const onAbort = () => this.#requestStop('signal');
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#awaitUntil();
    this.#options.awaited?.onRaised(() => this.#hurryIfReceived());
    let state: ReceiverState = INITIAL_STATE;
    try {
      while (!isFinal(state)) {
        this.#announcer.emit({ kind: 'state', state });
        state = transition(state, await this.#step(state));
      }
      this.#announcer.emit({ kind: 'state', state });
    } finally {
      signal.removeEventListener('abort', onAbort);
      await this.#release();
    }
    if (state === 'failed') throw this.#failure;
    const { durableLsn } = this.#progress;
    return { place: this.#place(), timeline: this.#timeline, durableLsn, ended: this.#ended };
  }

  /** Turns what a step throws into an event: a stop, trouble that may pass, or the end. */
  async #step(state: LivingState): Promise<ReceiverEvent> {
    try {
      if (this.#stop.signal.aborted && state !== 'draining') return 'stop-requested';
      return await this.#steps[state]();
    } catch (error) {
      if (this.#stop.signal.aborted && state !== 'draining') return 'stop-requested';
      if (state !== 'draining' && this.#isTrouble(error)) {
        this.#trouble = error;
        if (error.code === 'WAL_OUTAGE_UNSAFE') this.#announcer.alarmOnce('outage', { alarm: 'store-away', error });
        return 'unreachable';
      }
      this.#failure = error;
      this.#companions.cut();
      return 'broken';
    }
  }

  #isTrouble(error: unknown): error is HoldfastError {
    if (error instanceof HoldfastError && PASSING_CODES.has(error.code)) return true;
    return isServerTrouble(error, this.#hasAnswered);
  }

  // The states.

  async #wait(): Promise<ReceiverEvent> {
    await this.#closeReception();
    await this.#closeLink();
    const delayMs = Math.min(RECONNECT_DELAY_MS_MAX, RECONNECT_DELAY_MS_MIN * 2 ** this.#attempts);
    this.#attempts += 1;
    if (this.#trouble !== null) this.#announcer.emit({ kind: 'reconnect', error: this.#trouble, delayMs });
    this.#trouble = null;
    await this.#options.clock.sleep(delayMs, this.#stop.signal);
    return this.#stop.signal.aborted ? 'stop-requested' : 'retry';
  }

  async #connect(): Promise<ReceiverEvent> {
    this.#link = await openLink(this.#linkOptions);
    this.#hasAnswered = true;
    // Another server may answer than the one that was held against them.
    this.#forks.forget();
    return 'identified';
  }

  async #prepare(): Promise<ReceiverEvent> {
    const link = this.#link!;
    const prepared = await this.#preparer.prepare(link, {
      ...{ preferred: this.#preferred, left: this.#forks.left, isStartGone: this.#isStartGone },
    });
    if (prepared.kind === 'diverged') {
      this.#forks.settle(prepared.forks);
      return 'diverged';
    }
    this.#useLineage(prepared.lineage, prepared.created);
    if (prepared.created) await this.#preparer.warnOfOtherSystem(link);
    await this.#openStream(prepared.lineage, prepared.plan, prepared.slot);
    return 'stream-opened';
  }

  async #follow(state: 'comparing' | 'streaming'): Promise<ReceiverEvent> {
    const { stream, reception, plan } = this.#open!;
    const outcomes: Promise<ReceiverEvent>[] = [
      reception.failed,
      this.#background.promise,
      stream.ended.then((end) => {
        if (end.ended !== 'timeline') throw serverShutDown();
        const { nextTimeline: next, switchLsn } = end;
        this.#announcer.emit({ kind: 'timeline-ended', timeline: plan.timeline, switchLsn, next });
        return 'timeline-ended';
      }),
      reception.diverged.then(() => 'diverged'),
      this.#stopRequested.promise.then(() => 'stop-requested'),
    ];
    if (this.#preparer.view.isStandIn) outcomes.push(this.#preparer.view.over);
    if (state === 'comparing') outcomes.push(reception.compared.then(() => 'compared'));
    try {
      const event = await Promise.race(outcomes);
      if (event === 'compared') await this.#onCompared();
      if (this.#preparer.view.isStandIn && (event === 'diverged' || event === 'timeline-ended'))
        throw leftInOutage(event);
      if (event === 'diverged') await this.#noteDivergence();
      return event;
    } catch (error) {
      await this.#noteMissingWal(error);
      throw error;
    }
  }

  async #switchTimeline(): Promise<ReceiverEvent> {
    await this.#closeReception();
    // In an outage a history would wait here, and what the primary has of the older timeline by then would never be held against it.
    if (this.#options.outage?.spool.isAway === true) throw leftInOutage('timeline-ended');
    const link = await boundAnswer(this.#link!, this.#options.clock, refreshLink(this.#link!));
    this.#link = link;
    const { repository } = this.#options;
    const lineage = await this.#persistence.run(() => storeHistories(repository, this.#lineage!, link));
    this.#useLineage(lineage, false);
    return 'history-stored';
  }

  async #locateFork(): Promise<ReceiverEvent> {
    await this.#closeReception();
    const open = this.#link?.connection.isOpen === true ? this.#link : null;
    const link =
      open === null
        ? await openLink(this.#linkOptions)
        : await boundAnswer(open, this.#options.clock, refreshLink(open));
    this.#link = link;
    // Perhaps the server's WAL lies in another lineage of the cluster.
    if (this.#forks.closest === null) return 'another-lineage';
    const { repository, cluster, clock, stateDirectory } = this.#options;
    const { left, diverged } = this.#forks.closest;
    const { keptFrom } = await this.#preparer.takeSlot(link);
    const begun = await beginChildLineage({
      ...{ repository, clock, cluster, link, keptFrom, left, diverged },
      ...{ persistence: this.#persistence, signal: this.#stop.signal },
    });
    if (begun === null) return 'stop-requested';
    this.#forks.forget();
    this.#preferred = begun.child.lineage;
    this.#announcer.alarm({ alarm: 'fork', parent: left, child: begun.child, error: forkAlarm(cluster, begun.parent) });
    await noteFork(repository, stateDirectory, { cluster, child: begun.child.lineage, parent: begun.parent });
    return 'fork-located';
  }

  async #drain(): Promise<ReceiverEvent> {
    const open = this.#open;
    try {
      await this.#closeReception();
    } catch (error) {
      // The signal was given, so the store was asked once. What it did not take was not reported, and the server has it still.
      if (!isStoreAway(error)) throw error;
    }
    if (open !== null) await stopStream(open.stream, this.#link?.connection ?? null, this.#options.clock);
    await this.#closeLink();
    return 'drained';
  }

  // Streaming.

  async #openStream(lineage: LineageInventory, plan: StreamPlan, slot: string | null): Promise<void> {
    const { clock, stateDirectory, flushIntervalMs = FLUSH_INTERVAL_MS_DEFAULT } = this.#options;
    const { connection } = this.#link!;
    const reception = await makeReception({
      ...{
        repository: this.#preparer.view.repository,
        lineage,
        clock,
        flushIntervalMs,
        receiver: this.#id,
        persistence: this.#persistence,
      },
      ...{ plan, path: pathOfServer(this.#link!) },
      spoolDirectory: join(stateDirectory, 'wal'),
      isUrgent: () => this.#synchronous.mayCommitsWait,
      emit: (event) => {
        this.#announcer.emit(event);
        if (event.kind === 'segment-stored') this.#companions.noteSegment(lineage);
      },
      onDurable: (lsn) => this.#onDurable(lsn),
    });
    try {
      const stream = await startReplication(connection, {
        ...{ startLsn: plan.start, timeline: plan.timeline, slot: slot ?? undefined, clock },
        onWal: async ({ startLsn, serverEndLsn, sentAt, data }) => {
          this.#progress.heard(sentAt, serverEndLsn);
          await reception.take(startLsn, data);
          this.#hurryIfReceived();
        },
        onKeepalive: ({ sentAt, serverEndLsn }) => this.#progress.heard(sentAt, serverEndLsn),
      });
      this.#open = { stream, reception, plan };
    } catch (error) {
      await reception.finish();
      throw this.#namedStartError(error);
    }
    this.#slots.noteStarted();
    this.#timeline = plan.timeline;
    this.#announcer.emit({ kind: 'stream', timeline: plan.timeline, start: plan.start, storedUntil: plan.storedUntil });
    this.#startWatch();
  }

  /** Whoever uses the slot may be our own past, for a moment; when it is somebody else, a receiver that has just been started says so. */
  #namedStartError(error: unknown): unknown {
    const active = this.#slots.noteStartError(error, this.#options.clock.monotonic());
    if (active === null) return error;
    if (this.#hasStreamed) this.#announcer.alarmOnce('slot-active', { alarm: 'slot', error: active.error });
    return this.#hasStreamed || !active.isLasting ? error : active.error;
  }

  async #onCompared(): Promise<void> {
    this.#hasStreamed = true;
    this.#isStartGone = false;
    this.#forks.forget();
    this.#announcer.isOver('slot-active');
    if (this.#announcer.isOver('outage')) this.#announcer.emit({ kind: 'recovered', alarm: 'store-away' });
    await this.#preparer.noteFollowed(this.#link!, this.#lineage!.lineage);
    this.#companions.begin(this.#lineage!, this.#open!.plan.start, !this.#preparer.view.isStandIn);
    this.#onDurable(this.#open!.reception.durable);
  }

  #onDurable(here: bigint): void {
    // A reception that is being made has nothing to report yet.
    if (this.#open === null || this.#open.reception.isComparing) return;
    const away = this.#outage.awayOf(this.#lineage!, here);
    this.#progress.stored(away);
    this.#reportFlush();
    this.#emitProgress();
    if (this.#until !== null && away >= this.#until) this.#requestStop('until');
  }

  /** Invariants 1 and 4: only what is durable, and only when all before it was compared. */
  #reportFlush(options: { replyRequested?: boolean } = {}): void {
    if (this.#open === null) return;
    const { stream, reception } = this.#open;
    const flush = reception.isComparing ? 0n : this.#outage.confirmable(this.#lineage!, reception.durable);
    stream.sendStatus({ write: reception.received, flush, ...options });
    if (flush > 0n) this.#announcer.emit({ kind: 'flush-reported', lsn: flush });
  }

  #onReport(report: ServerReport): void {
    this.#synchronous.heard(report);
    if (this.#open === null || this.#open.reception.isComparing) return;
    // The link has held for a while: the next trouble is a new one.
    this.#attempts = 0;
    if (report.mark !== null) this.#progress.marked(report.mark);
    this.#reportFlush();
    this.#emitProgress();
  }

  /** A difference in bytes is proved to be the fork when enough before it was equal; else an earlier start of the comparison has to tell. */
  async #noteDivergence(): Promise<void> {
    const { reception, plan } = this.#open!;
    const { lsn } = await reception.diverged;
    const forkLsn = reception.comparedBytes >= FORK_PROOF_BYTES ? lsn : null;
    const diverged = { kind: 'diverged', reason: 'bytes-differ', forkTimeline: plan.timeline, forkLsn } as const;
    this.#forks.note({ left: this.#lineage!, diverged });
    await stopStream(this.#open!.stream, this.#link?.connection ?? null, this.#options.clock);
  }

  /** The server has no WAL from where we asked: the next attempt begins where it has, and the gap is told now. */
  async #noteMissingWal(error: unknown): Promise<void> {
    if (sqlStateOf(error) !== SQL_STATE.undefinedFile || this.#open === null) return;
    const { reception, plan } = this.#open;
    // From where the primary has WAL, the server may well have it.
    if (this.#preparer.view.isStandIn) throw goneInOutage(plan.start);
    if (reception.received > plan.start || plan.fallback === null) {
      this.#slots.noteLost(error);
      return;
    }
    this.#isStartGone = true;
    this.#attempts = 0;
    const { gap } = plan.fallback;
    if (gap.start >= gap.end) return;
    const { repository, cluster } = this.#options;
    const cost = await describeGapNow(repository, this.#lineage!, gap);
    this.#announcer.alarm({ alarm: 'gap', gap, error: gapAlarm(cluster, gap, cost) });
  }

  // Beside the stream.

  #startWatch(): void {
    const link = this.#link!;
    const { temporary = false } = this.#options;
    this.#watch.start(link.connection, {
      ...this.#linkOptions,
      // Of several servers, the one that answered the stream.
      source: link.connection.target,
      processId: link.connection.processId,
      identity: () => (this.#link ?? link).identity,
      streamTime: () => this.#progress.serverTime,
      askStreamTime: () => this.#reportFlush({ replyRequested: true }),
      onReport: (report) => this.#onReport(report),
      slot: temporary ? null : this.#slots.name,
      onSpace: (space) => {
        if (!temporary) this.#space.heard(space);
      },
    });
  }

  #useLineage(lineage: LineageInventory, created: boolean): void {
    const isOther = this.#lineage?.lineage !== lineage.lineage;
    this.#lineage = lineage;
    if (!isOther) return;
    this.#preferred = lineage.lineage;
    this.#progress.forgetPositions();
    this.#announcer.emit({ kind: 'lineage', place: this.#place()!, created });
  }

  #place(): LineagePlace | null {
    return this.#lineage === null ? null : { system: this.#lineage.system, lineage: this.#lineage.lineage };
  }

  // Ending.

  #requestStop(reason: 'signal' | 'until'): void {
    if (this.#stop.signal.aborted) return;
    this.#ended = reason;
    // Who waits for a position has time for the leftovers; who gives the signal has not.
    if (reason === 'signal') this.#companions.cut();
    this.#stop.abort();
    this.#stopRequested.resolve();
    // While nothing streams there is nothing to end in good order, and a server that does not answer must not hold us.
    if (this.#open === null) this.#link?.connection.destroy();
  }

  #awaitUntil(): void {
    Promise.resolve(this.#options.until ?? null).then(
      (until) => {
        this.#until = until;
        if (this.#open !== null && !this.#open.reception.isComparing) this.#onDurable(this.#open.reception.durable);
        this.#hurryIfReceived();
      },
      (error) => this.#background.reject(error),
    );
  }

  /** All that was asked for has come: what of it is not durable yet is stored now, not at the next interval. */
  #hurryIfReceived(): void {
    const wanted = maxLsn(this.#until ?? 0n, this.#options.awaited?.lsn ?? 0n);
    if (wanted === 0n || this.#open === null) return;
    const { reception } = this.#open;
    if (!reception.isComparing && reception.received >= wanted) reception.hurry(wanted);
  }

  /** Stores what has come. While it does, what becomes durable is still reported. */
  async #closeReception(): Promise<void> {
    try {
      await this.#open?.reception.finish();
    } finally {
      this.#open = null;
    }
  }

  async #closeLink(): Promise<void> {
    this.#synchronous.forget();
    await this.#watch.end();
    await this.#link?.connection.close();
    this.#link = null;
  }

  async #release(): Promise<void> {
    this.#stop.abort();
    // After an orderly end there is nothing left to close; after a failure, that is what is to be told.
    await this.#closeReception().catch(() => {});
    await this.#closeLink();
    await this.#outage.end();
    await this.#companions.end();
  }

  // Telling.

  #emitProgress(): void {
    const { reception, plan } = this.#open!;
    const { synchronous } = this.#synchronous;
    const positions = this.#progress.positions(reception);
    const progress = { place: this.#place()!, timeline: plan.timeline, ...positions, synchronous };
    this.#announcer.emit({ kind: 'progress', progress });
  }

  #tellStatus() {
    const place = this.#place();
    if (place === null) return null;
    const { cluster } = this.#options;
    const timeline = this.#open?.plan.timeline ?? this.#lineage!.header.startTimeline;
    const { durableLsn, serverFlushLsn, known } = this.#progress;
    const { synchronous } = this.#synchronous;
    const facts = { durableLsn, serverFlushLsn, known, synchronous, space: this.#space.space };
    return { ...place, cluster, timeline, receiver: this.#id, ...facts };
  }
}
