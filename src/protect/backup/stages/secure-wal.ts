import { type Clock, codeOf, HoldfastError, type Progress } from '../../../lib/index.ts';
import { type ConnectionTarget, formatLsn } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import {
  AwaitedLsn,
  contiguousEnd,
  findLineage,
  findRunningReceiver,
  readFollowed,
  readWalInventory,
  receiveWal,
  type WalEvent,
  type WalInventory,
} from '../../wal/index.ts';
import { isReceiverHere } from '../../wal/push/index.ts';
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

/** WAL that a backup needs. */
interface NeededWal {
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
  /** Whether nothing behind it will be needed: then a receiver of the backup's own ends with it. */
  readonly isLast?: boolean;
}

/** Someone who brings the WAL of the backup into the repository. */
export interface SecuredWal extends AsyncDisposable {
  /** The lineage into which the WAL goes. */
  readonly lineage: string;
  /** Where the stream of a receiver of the backup's own begins; null where somebody else brings the WAL. What lies before is not stored by it. */
  readonly streamsFrom: bigint | null;
  /**
   * Waits until all WAL in the range, of the range's timeline, is durable in the repository; gives the listing that shows it. May be asked again for what
   * comes later: where an increment is not to be trusted, everything is read after it.
   */
  secured(range: NeededWal): Promise<WalInventory>;
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
  /** The copy that stands in for the primary; nothing otherwise. */
  takenIn?: string;
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
  const beside = running === null ? await findReceiverBeside(options) : null;
  if (beside !== null) return new WalBeside(beside, options);
  if (running === null) return bringOrAwait(options, await findingPushed);
  return new RunningReceiver(options, running.lineage);
}

/**
 * While a copy stands in for the primary, a receiver of this machine cannot say there that it runs; it brings its WAL to the copies all the same. A
 * second one would seal the same segments otherwise, and they would differ between the places for ever.
 */
async function findReceiverBeside(options: SecureWalOptions): Promise<string | null> {
  const { takenIn, stateDirectory, repository, cluster, server } = options;
  const system = server.identity.systemId;
  if (takenIn === undefined || !(await isReceiverHere(stateDirectory, system))) return null;
  return readFollowed(stateDirectory, repository.id, { system, cluster });
}

/** The WAL of a backup as the receiver of this machine brings it to the copy. */
class WalBeside implements SecuredWal {
  readonly lineage: string;
  readonly streamsFrom = null;
  readonly #options: SecureWalOptions;

  constructor(lineage: string, options: SecureWalOptions) {
    this.lineage = lineage;
    this.#options = options;
  }

  async secured(range: NeededWal): Promise<WalInventory> {
    const { clock, progress, signal } = this.#options;
    progress.note('the WAL receiver of this machine brings the WAL of this backup to the copy');
    const stored = new StoredWalOfServer(this.#options);
    let [reached, movedAt] = [range.start, clock.monotonic()];
    for (;;) {
      const { end, inventory } = await stored.findRun(this.lineage, range);
      if (end >= range.end) return inventory;
      if (end > reached) [reached, movedAt] = [end, clock.monotonic()];
      if (clock.monotonic() - movedAt > STALLED_MS) throw walMissing(range, reached);
      await clock.sleep(POLL_MS, signal);
      signal?.throwIfAborted();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
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
  readonly streamsFrom = null;
  readonly #options: SecureWalOptions;
  #own: SecuredWal | null = null;

  constructor(options: SecureWalOptions, lineage: string) {
    this.#options = options;
    this.lineage = lineage;
  }

  async secured(range: NeededWal): Promise<WalInventory> {
    if (this.#own !== null) return this.#own.secured(range);
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
  /** Where it first began to stream; null before that. */
  streamsFrom: bigint | null;
  /** The end of what it has made durable. */
  durable: bigint;
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
  const awaited = new AwaitedLsn();
  const state: OwnReceiverState = {
    ...{ lineage: null, streamsFrom: null, durable: 0n, ended: false },
    ...{ failure: null, trouble: null },
  };
  const wake = () => {
    for (const waiter of waiters) waiter();
  };
  const onEvent = (event: WalEvent) => {
    if (event.kind === 'lineage') state.lineage = event.place.lineage;
    if (event.kind === 'stream') state.streamsFrom ??= event.start;
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
  const running = receiveWal({
    ...options,
    ...{ temporary: true, standsIn: options.takenIn !== undefined },
    ...{ until: until.promise, awaited, signal, onEvent },
  }).then(
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
  const findStoredMeanwhile = async (range: NeededWal) => {
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
    await become(() => state.lineage !== null && state.streamsFrom !== null, READY_MS_MAX);
  } catch (error) {
    await dispose();
    throw error;
  }
  const lineage = state.lineage!;
  return {
    lineage,
    streamsFrom: state.streamsFrom,
    async secured(range) {
      if (state.lineage !== lineage) throw lineageChanged(lineage, state.lineage!);
      const { isLast = false } = range;
      // What has come up to there is stored at once. With the last end the receiver is done; until then it goes on, and its slot keeps what follows.
      awaited.raise(range.end);
      if (isLast) until.resolve(range.end);
      const isDurable = () => state.ended || state.durable >= range.end;
      if (!isLast && !server.isStandby)
        await become(() => isDurable() && state.failure === null, Number.POSITIVE_INFINITY);
      const meanwhile = isLast && !server.isStandby ? null : await findStoredMeanwhile(range);
      if (meanwhile !== null) return meanwhile;
      // Once that is durable it only goes on with what can wait: the commit index, fragments whose segment is stored, its last word.
      let found = range.start;
      for (const isDone of [isDurable, () => state.ended]) {
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
