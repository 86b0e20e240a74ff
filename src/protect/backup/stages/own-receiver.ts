import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { AwaitedLsn, receiveWal, type WalEvent, type WalInventory } from '../../wal/index.ts';
import {
  lineageChanged,
  type NeededWal,
  POLL_MS,
  type SecuredWal,
  type SecureWalOptions,
  STALLED_MS,
  StoredWalOfServer,
  walMissing,
} from './secured-wal.ts';

/** How long our own receiver may take to begin streaming before the backup is given up. */
const READY_MS_MAX = 120_000;
/** The same when all senders are in use and WAL comes by another road as well. */
const SENDER_MS_MAX = 15_000;
/**
 * The server has written all WAL that is waited for, so that something of it comes or becomes durable all the time. A server that starts again, or a line that breaks,
 * is back in less; one that stays away for so long may be gone for good, and the backup cannot be had any more.
 */
const WITHOUT_PROGRESS_MS_MAX = 300_000;

/** Alarms after which the WAL of the backup will not come, or not without a hole. */
const ENDING_ALARMS: ReadonlySet<string> = new Set(['gap', 'slot', 'store-away', 'other-system']);

type OwnReceiverOptions = SecureWalOptions & { startLsn?: bigint; canAwaitPushes?: boolean };

/**
 * Starts a receiver for as long as the backup lasts and waits until WAL is streaming.
 *
 * Errors: BACKUP_WAL_STOPPED; those with which the receiver ended.
 */
export async function startOwnReceiver(options: OwnReceiverOptions): Promise<SecuredWal> {
  const receiver = new OwnReceiver(options);
  try {
    await receiver.begun();
    return receiver;
  } catch (error) {
    await receiver[Symbol.asyncDispose]();
    throw error;
  }
}

/** A receiver that ends with the backup. */
class OwnReceiver implements SecuredWal {
  readonly #options: OwnReceiverOptions;
  readonly #stored: StoredWalOfServer;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #until = Promise.withResolvers<bigint>();
  readonly #awaited = new AwaitedLsn();
  readonly #waiters = new Set<() => void>();
  readonly #running: Promise<void>;
  #lineage: string | null = null;
  /** The lineage when it began to stream: that of the backup. */
  #first: string | null = null;
  /** Where it first began to stream; null before that. */
  #streamsFrom: bigint | null = null;
  /** The furthest that anything came from the server. */
  #received = 0n;
  /** The end of what it has made durable. */
  #durable = 0n;
  /** When anything last came, or was stored, by the monotonic clock. */
  #movedAt: number;
  #hasEnded = false;
  #failure: unknown = null;
  /** Why it last had to begin again; null while it streams. */
  #trouble: HoldfastError | null = null;

  constructor(options: OwnReceiverOptions) {
    this.#options = options;
    this.#stored = new StoredWalOfServer(options);
    this.#movedAt = options.clock.monotonic();
    const { signal = this.#stop.signal } = options;
    this.#signal = AbortSignal.any([this.#stop.signal, signal]);
    this.#running = receiveWal({
      ...options,
      ...{ temporary: true, standsIn: options.takenIn !== undefined },
      ...{ until: this.#until.promise, awaited: this.#awaited, signal: this.#signal },
      onEvent: (event) => this.#hear(event),
    }).then(
      () => this.#end(null),
      (error) => this.#end(error),
    );
  }

  get lineage(): string {
    return this.#first!;
  }

  get streamsFrom(): bigint | null {
    return this.#streamsFrom;
  }

  /** Settled once WAL is streaming. */
  async begun(): Promise<void> {
    const { clock, canAwaitPushes = false } = this.#options;
    const begun = clock.monotonic();
    await this.#become(
      () => this.#lineage !== null && this.#streamsFrom !== null,
      () => {
        const isOutOfSenders = canAwaitPushes && codeOf(this.#trouble) === 'PG_TOO_MANY_CONNECTIONS';
        if (clock.monotonic() > begun + (isOutOfSenders ? SENDER_MS_MAX : READY_MS_MAX)) throw stopped(this.#trouble);
      },
    );
    this.#first = this.#lineage;
  }

  async secured(range: NeededWal): Promise<WalInventory> {
    const { server } = this.#options;
    this.#assertSameLineage();
    const { isLast = false } = range;
    // What has come up to there is stored at once. With the last end the receiver is done; until then it goes on, and its slot keeps what follows.
    this.#awaited.raise(range.end);
    if (isLast) this.#until.resolve(range.end);
    const isDurable = () => this.#hasEnded || this.#durable >= range.end;
    if (!isLast && !server.isStandby) await this.#bring(isDurable);
    const meanwhile = isLast && !server.isStandby ? null : await this.#findStoredMeanwhile(range);
    if (meanwhile !== null) return meanwhile;
    // Once that is durable it only goes on with what can wait: the commit index, fragments whose segment is stored, its last word.
    let found = range.start;
    for (const isDone of [isDurable, () => this.#hasEnded]) {
      await this.#bring(isDone);
      this.#assertSameLineage();
      const { end, inventory } = await this.#stored.findRun(this.lineage, range);
      if (end >= range.end) return inventory;
      found = end;
    }
    throw walMissing(range, found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #hear(event: WalEvent): void {
    if (event.kind === 'lineage') this.#lineage = event.place.lineage;
    if (event.kind === 'stream') {
      this.#streamsFrom ??= event.start;
      this.#trouble = null;
    }
    if (event.kind === 'progress') {
      const { receivedLsn, durableLsn } = event.progress;
      // What was received is held against what is stored at first, and nothing new becomes durable.
      if (receivedLsn > this.#received || durableLsn > this.#durable) this.#move();
      if (receivedLsn > this.#received) this.#received = receivedLsn;
      this.#durable = durableLsn;
    }
    if (event.kind === 'fragment-stored' || event.kind === 'segment-stored') this.#move();
    if (event.kind === 'reconnect') {
      if (event.error.message !== this.#trouble?.message)
        this.#options.progress.note(`the WAL receiver of this backup tries again: ${event.error.message}`);
      this.#trouble = event.error;
    }
    if (event.kind === 'alarm' && ENDING_ALARMS.has(event.alarm)) this.#failure ??= event.error;
    this.#wake();
  }

  #move(): void {
    this.#movedAt = this.#options.clock.monotonic();
  }

  #end(error: unknown): void {
    this.#hasEnded = true;
    this.#failure ??= error;
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
  }

  /** Settled once the receiver has come so far, as long as it goes on storing. */
  #bring(condition: () => boolean): Promise<void> {
    const { clock } = this.#options;
    const begun = clock.monotonic();
    return this.#become(
      () => condition() && this.#failure === null,
      () => {
        const since = Math.max(begun, this.#movedAt);
        if (clock.monotonic() > since + WITHOUT_PROGRESS_MS_MAX)
          throw broughtNothing(this.#trouble, WITHOUT_PROGRESS_MS_MAX);
      },
    );
  }

  /** `assertInTime` throws when it has taken too long. */
  async #become(condition: () => boolean, assertInTime: () => void): Promise<void> {
    const { clock, signal } = this.#options;
    while (!condition()) {
      signal?.throwIfAborted();
      if (this.#failure !== null) throw this.#failure;
      if (this.#hasEnded) throw stopped(this.#trouble);
      assertInTime();
      const woken = new AbortController();
      const waiter = () => woken.abort();
      this.#waiters.add(waiter);
      await clock.sleep(POLL_MS, woken.signal);
      this.#waiters.delete(waiter);
    }
  }

  /**
   * A standby has the WAL already, and may be behind what another receiver has stored before: then ours compares for as long as that lasts, and is not
   * needed. Null when it has come to its end.
   */
  async #findStoredMeanwhile(range: NeededWal): Promise<WalInventory | null> {
    const { clock, signal } = this.#options;
    let [reached, movedAt] = [range.start, clock.monotonic()];
    while (!this.#hasEnded) {
      signal?.throwIfAborted();
      if (this.#failure !== null) throw this.#failure;
      const { end, inventory } = await this.#stored.findRun(this.#lineage!, range);
      if (end >= range.end) return inventory;
      if (end > reached) [reached, movedAt] = [end, clock.monotonic()];
      if (clock.monotonic() - movedAt > STALLED_MS) throw broughtNothing(this.#trouble, STALLED_MS);
      await clock.sleep(POLL_MS, this.#signal);
    }
    return null;
  }

  #assertSameLineage(): void {
    if (this.#lineage !== this.#first) throw lineageChanged(this.lineage, this.#lineage!);
  }
}

function broughtNothing(trouble: HoldfastError | null, ms: number): HoldfastError {
  const nothing = `that nothing came for ${ms / 1000} s`;
  return notBrought(trouble === null ? nothing : `${nothing}, and this in its way: ${trouble.message}`, trouble);
}

function stopped(trouble: HoldfastError | null): HoldfastError {
  return notBrought(trouble === null ? 'that it stopped' : `this in its way: ${trouble.message}`, trouble);
}

function notBrought(found: string, trouble: HoldfastError | null): HoldfastError {
  return new HoldfastError('BACKUP_WAL_STOPPED', 'could not bring the WAL of the backup into the repository', {
    detail: `Expected the WAL receiver of this backup to stream until the end, found ${found}.`,
    hints: [
      ...(trouble?.hints ?? []),
      'A backup beside no running receiver needs a free replication slot and two free places of max_wal_senders.',
      'Run `holdfast wal stream` to see what hinders it.',
    ],
    retryable: true,
    ...(trouble === null ? {} : { cause: trouble }),
  });
}
