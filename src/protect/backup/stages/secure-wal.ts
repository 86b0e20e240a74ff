import { type Clock, codeOf, HoldfastError, type Progress } from '../../../lib/index.ts';
import { type ConnectionTarget, formatLsn } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import {
  contiguousEnd,
  findLineage,
  findRunningReceiver,
  readWalInventory,
  receiveWal,
  type WalEvent,
  type WalInventory,
} from '../../wal/index.ts';
import type { CheckedServer } from './check-server.ts';
import { findPushedLineage, PushedWal } from './pushed-wal.ts';

/** How often the repository is asked whether another receiver has brought the WAL. */
const POLL_MS = 500;
/** A receiver that runs and brings nothing for so long is not waited for any more. */
const STALLED_MS = 60_000;
/** How long our own receiver may take to begin streaming before the backup is given up. */
const READY_MS_MAX = 120_000;
/** The same when all senders are in use and WAL comes by another road as well. */
const SENDER_MS_MAX = 15_000;

/** Alarms after which the WAL of the backup will not come, or not without a hole. */
const ENDING_ALARMS: ReadonlySet<string> = new Set(['gap', 'slot', 'store-away', 'other-system']);

/** Someone who brings the WAL of the backup into the repository. */
export interface SecuredWal extends AsyncDisposable {
  /** The lineage into which the WAL goes. */
  readonly lineage: string;
  /** Waits until all WAL in the range, of the range's timeline, is durable in the repository; gives the listing that shows it. */
  secured(range: { timeline: number; start: bigint; end: bigint }): Promise<WalInventory>;
}

interface SecureWalOptions {
  repository: Repository;
  source: ConnectionTarget;
  cluster: string;
  stateDirectory: string;
  clock: Clock;
  progress: Progress;
  server: CheckedServer;
  signal?: AbortSignal;
}

/**
 * Makes sure, before a backup begins, that its WAL will reach the repository: by a receiver that runs already, or by one of our own
 * that lasts as long as the backup.
 */
export async function secureWal(options: SecureWalOptions): Promise<SecuredWal> {
  const { repository, cluster, server } = options;
  const identity = { system: server.identity.systemId, cluster };
  const findingPushed = findPushedLineage(repository, identity);
  findingPushed.catch(() => {}); // Of interest only where no receiver runs.
  const running = await findRunningReceiver(repository, identity);
  if (running === null) return bringOrAwait(options, await findingPushed);
  return new RunningReceiver(options, running.lineage);
}

/** Brings the WAL, unless the server has no sender to spare for that and its archiver brings WAL anyway. */
async function bringOrAwait(options: SecureWalOptions, pushed: string | null): Promise<SecuredWal> {
  const { progress } = options;
  progress.note('no WAL receiver is running: this backup brings its own WAL');
  try {
    return await startOwnReceiver({ ...options, canAwaitPushes: pushed !== null });
  } catch (error) {
    const cause = error instanceof HoldfastError && error.code === 'BACKUP_WAL_STOPPED' ? codeOf(error.cause) : null;
    if (pushed === null || cause !== 'PG_TOO_MANY_CONNECTIONS') throw error;
    progress.note('the server has no sender to spare: this backup waits for its WAL to be pushed');
    const storedWal = new StoredWalOfServer(options);
    return new PushedWal(pushed, { ...options, findStored: (lineage, range) => storedWal.findRun(lineage, range) });
  }
}

/** Trusts nothing but the repository: what another receiver says of itself only decides whether it is waited for. */
class RunningReceiver implements SecuredWal {
  readonly lineage: string;
  readonly #options: SecureWalOptions;
  #own: SecuredWal | null = null;

  constructor(options: SecureWalOptions, lineage: string) {
    this.#options = options;
    this.lineage = lineage;
  }

  async secured(range: { timeline: number; start: bigint; end: bigint }): Promise<WalInventory> {
    const { repository, clock, progress, signal, server, cluster } = this.#options;
    const stored = new StoredWalOfServer(this.#options);
    let reached = range.start;
    let movedAt = clock.monotonic();
    for (;;) {
      const finding = findRunningReceiver(repository, { system: server.identity.systemId, cluster });
      finding.catch(() => {}); // Of interest only while the WAL is not there.
      const { end, inventory } = await stored.findRun(this.lineage, range);
      if (end >= range.end) return inventory;
      const running = await finding;
      if (end > reached) {
        reached = end;
        movedAt = clock.monotonic();
      }
      if (running === null || clock.monotonic() - movedAt > STALLED_MS) break;
      // It is past the end and left a hole before: it began later than the last checkpoint that a standby has replayed. It will not go back.
      if (running.lineage === this.lineage && running.durableLsn >= range.end) break;
      if (running.lineage !== this.lineage) throw lineageChanged(this.lineage, running.lineage);
      await clock.sleep(POLL_MS, signal);
      signal?.throwIfAborted();
    }
    progress.note('the WAL receiver does not bring all WAL of this backup: it brings the rest itself');
    // Its own slot keeps WAL only from the last checkpoint on, which may be later than where the backup began.
    this.#own = await startOwnReceiver({ ...this.#options, startLsn: range.start });
    if (this.#own.lineage !== this.lineage) throw lineageChanged(this.lineage, this.#own.lineage);
    return this.#own.secured(range);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
  }
}

interface OwnReceiverState {
  lineage: string | null;
  /** The end of what it has made durable. */
  durable: bigint;
  streaming: boolean;
  ended: boolean;
  failure: unknown;
  /** Why it last had to begin again. */
  trouble: HoldfastError | null;
}

/** Starts a receiver for as long as the backup lasts and waits until WAL is streaming. */
async function startOwnReceiver(
  options: SecureWalOptions & { startLsn?: bigint; canAwaitPushes?: boolean },
): Promise<SecuredWal> {
  const { clock, server } = options;
  const stored = new StoredWalOfServer(options);
  const stop = new AbortController();
  const waiters = new Set<() => void>();
  const until = Promise.withResolvers<bigint>();
  const state: OwnReceiverState = {
    ...{ lineage: null, durable: 0n, streaming: false, ended: false },
    ...{ failure: null, trouble: null },
  };
  const wake = () => {
    for (const waiter of waiters) waiter();
  };
  const onEvent = (event: WalEvent) => {
    if (event.kind === 'lineage') state.lineage = event.place.lineage;
    if (event.kind === 'stream') state.streaming = true;
    if (event.kind === 'progress') state.durable = event.progress.durableLsn;
    if (event.kind === 'reconnect') {
      if (event.error.message !== state.trouble?.message)
        options.progress.note(`the WAL receiver of this backup tries again: ${event.error.message}`);
      state.trouble = event.error;
    }
    if (event.kind === 'alarm' && ENDING_ALARMS.has(event.alarm)) state.failure ??= event.error;
    wake();
  };
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const running = receiveWal({ ...options, temporary: true, until: until.promise, signal, onEvent }).then(
    () => {
      state.ended = true;
      wake();
    },
    (error) => {
      state.ended = true;
      state.failure ??= error;
      wake();
    },
  );
  const become = async (condition: () => boolean, msMax: number) => {
    const begun = clock.monotonic();
    const deadline = begun + msMax;
    const isOutOfSenders = () => options.canAwaitPushes === true && codeOf(state.trouble) === 'PG_TOO_MANY_CONNECTIONS';
    while (!condition()) {
      options.signal?.throwIfAborted();
      if (state.failure !== null) throw state.failure;
      if (state.ended || clock.monotonic() > deadline) throw receiverStopped(state.trouble);
      if (isOutOfSenders() && clock.monotonic() > begun + SENDER_MS_MAX) throw receiverStopped(state.trouble);
      const woken = new AbortController();
      const waiter = () => woken.abort();
      waiters.add(waiter);
      await clock.sleep(POLL_MS, woken.signal);
      waiters.delete(waiter);
    }
  };
  /**
   * A standby has the WAL already, and may be behind what another receiver has stored before: then ours compares for as long as that lasts, and is not
   * needed. Null when it has come to its end.
   */
  const findStoredMeanwhile = async (range: { timeline: number; start: bigint; end: bigint }) => {
    let [reached, movedAt] = [range.start, clock.monotonic()];
    while (!state.ended) {
      options.signal?.throwIfAborted();
      if (state.failure !== null) throw state.failure;
      const { end, inventory } = await stored.findRun(state.lineage!, range);
      if (end >= range.end) return inventory;
      if (end > reached) [reached, movedAt] = [end, clock.monotonic()];
      if (clock.monotonic() - movedAt > STALLED_MS) throw receiverStopped(state.trouble);
      await clock.sleep(POLL_MS, signal);
    }
    return null;
  };
  const dispose = async () => {
    stop.abort();
    await running;
  };
  try {
    await become(() => state.lineage !== null && state.streaming, READY_MS_MAX);
  } catch (error) {
    await dispose();
    throw error;
  }
  const lineage = state.lineage!;
  return {
    lineage,
    async secured(range) {
      if (state.lineage !== lineage) throw lineageChanged(lineage, state.lineage!);
      // From here on the receiver has an end: it stores what has come up to there at once, and is done.
      until.resolve(range.end);
      const meanwhile = server.isStandby ? await findStoredMeanwhile(range) : null;
      if (meanwhile !== null) return meanwhile;
      // Once that is durable it only goes on with what can wait: the commit index, fragments whose segment is stored, its last word.
      let found = range.start;
      for (const isDone of [() => state.ended || state.durable >= range.end, () => state.ended]) {
        await become(() => isDone() && state.failure === null, Number.POSITIVE_INFINITY);
        if (state.lineage !== lineage) throw lineageChanged(lineage, state.lineage!);
        const { end, inventory } = await stored.findRun(lineage, range);
        if (end >= range.end) return inventory;
        found = end;
      }
      throw walMissing(range, found);
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Unbroken WAL, and the listing that shows it. */
export interface StoredRun {
  readonly end: bigint;
  readonly inventory: WalInventory;
}

/** Looks again and again at what the repository has of a server's WAL. */
class StoredWalOfServer {
  readonly #repository: Repository;
  readonly #system: string;
  #seen: WalInventory | null = null;

  constructor({ repository, server }: { repository: Repository; server: CheckedServer }) {
    this.#repository = repository;
    this.#system = server.identity.systemId;
  }

  /** The unbroken WAL from the range's start on, as the repository has it now. */
  async findRun(lineage: string, range: { timeline: number; start: bigint }): Promise<StoredRun> {
    const inventory = await readWalInventory(this.#repository, this.#system, this.#seen);
    this.#seen = inventory;
    // Right after a promotion the receiver has yet to see it: nothing of the new timeline is stored before its history is.
    const isUnknown = range.timeline > 1 && !findLineage(inventory, lineage).histories.has(range.timeline);
    const end = isUnknown ? range.start : contiguousEnd(inventory, lineage, range.timeline, range.start);
    return { end, inventory };
  }
}

function walMissing(range: { start: bigint; end: bigint }, end: bigint): HoldfastError {
  return new HoldfastError('BACKUP_WAL_MISSING', 'cannot list the backup: its WAL is not in the repository', {
    detail: `Expected WAL from ${formatLsn(range.start)} to ${formatLsn(range.end)}, found it up to ${formatLsn(end)}.`,
    hints: ['Run `holdfast wal status` to see gaps, then take the backup again.'],
  });
}

function lineageChanged(expected: string, found: string): HoldfastError {
  return new HoldfastError('BACKUP_WAL_FORKED', 'cannot finish the backup: the history of the WAL forked meanwhile', {
    detail: `Expected the WAL in lineage ${expected}, found that it goes on in ${found}.`,
    hints: ['Take the backup again: it will belong to the new lineage.'],
    retryable: true,
  });
}

function receiverStopped(trouble: HoldfastError | null): HoldfastError {
  return new HoldfastError('BACKUP_WAL_STOPPED', 'could not bring the WAL of the backup into the repository', {
    detail: `Expected the WAL receiver of this backup to stream until the end, found ${trouble === null ? 'that it stopped' : `this in its way: ${trouble.message}`}.`,
    hints: [
      ...(trouble?.hints ?? []),
      'A backup beside no running receiver needs a free replication slot and two free places of max_wal_senders.',
      'Run `holdfast wal stream` to see what hinders it.',
    ],
    retryable: true,
    ...(trouble === null ? {} : { cause: trouble }),
  });
}
