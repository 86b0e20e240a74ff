import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';
import { type Clock, formatDuration, HoldfastError, messageOf } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { moment, type SealedObjects, shortHexId } from '../sealed/index.ts';

const DAY_MS = 86_400_000;

/**
 * No run that counts on stored chunks may be older than this when it looks for tombstones: a pruner keeps them for longer, and so every run sees those that were
 * written since it read the index (`docs/prune.md`).
 */
export const LONGEST_RUN_MS = 14 * DAY_MS;

/** So long a lease is good after its last renewal: several failed renewals, a short pause of the machine. */
export const LEASE_MS = 10 * 60 * 1000;
const RENEW_MS = 60 * 1000;
/** The holder gives up this much earlier than everybody else does, for clocks that run differently. */
export const MARGIN_MS = 2 * 60 * 1000;

export const leaseRecord = z.object({
  version: z.literal(1),
  lease: shortHexId,
  purpose: z.string(),
  host: z.string(),
  pid: z.number().int(),
  startedAt: moment,
  /** By the store's clock; nobody needs to respect the lease after it. */
  expiresAt: moment,
});

/** What a lease says of its holder. */
export type LeaseRecord = z.infer<typeof leaseRecord>;

/** Takes a lease and renews it until it is released. Errors: those of the store; `REPOSITORY_READ_ONLY`. */
export async function acquireLease(objects: SealedObjects, options: { purpose: string }): Promise<Lease> {
  const lease = await Lease.take(objects, options.purpose);
  lease.keepRenewing();
  return lease;
}

/** The same moment on both scales of a clock. */
interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

function momentOf(clock: Clock): Moment {
  return { wall: clock.now(), monotonic: clock.monotonic() };
}

/** A lease in the hands of its holder. */
export class Lease implements AsyncDisposable {
  readonly id = randomBytes(16).toString('hex');
  readonly name = kindPrefix('lease') + this.id;
  readonly #objects: SealedObjects;
  readonly #clock: Clock;
  readonly #purpose: string;
  readonly #startedAt: Date;
  readonly #taken: Moment;
  readonly #stop = new AbortController();
  #renewed: Moment | null = null;
  #renewing: Promise<void> = Promise.resolve();
  #releasing: Promise<void> | null = null;
  #lastFailure: unknown = null;
  /** Once lost, always lost: a pruner may have acted on it. */
  #lost: string | null = null;

  private constructor(objects: SealedObjects, purpose: string, startedAt: Date, taken: Moment) {
    this.#objects = objects;
    this.#clock = objects.clock;
    this.#purpose = purpose;
    this.#startedAt = startedAt;
    this.#taken = taken;
  }

  /** Writes it for the first time. Errors: those of the store; `REPOSITORY_READ_ONLY`. */
  static async take(objects: SealedObjects, purpose: string): Promise<Lease> {
    const at = momentOf(objects.clock);
    const now = await objects.store.now();
    const lease = new Lease(objects, purpose, new Date(now), at);
    await lease.#write(at, now);
    return lease;
  }

  /** Errors: `LEASE_LOST`; then nothing may be committed that this lease was to protect. */
  assertHeld(): void {
    const why = this.#whyLost();
    if (why === null) return;
    this.#lost ??= why;
    throw new HoldfastError('LEASE_LOST', `cannot go on with the ${this.#purpose}: its lease is lost`, {
      detail: `Expected the lease to be renewed in time, found that ${why}.`,
      hints: ['Start it again; what was stored so far will be used.'],
      cause: this.#lastFailure,
    });
  }

  /**
   * To be called after tombstones were listed: proves that none was removed which this run has to know. Errors: `BACKUP_TOO_LONG`; those of the store.
   */
  async assertNotTooLong(): Promise<void> {
    const elapsed = (await this.#objects.store.now()) - this.#startedAt.getTime();
    if (elapsed > LONGEST_RUN_MS) throw this.tooLong(elapsed);
  }

  /** How long the run has lasted by this machine's clocks, whichever says more: one stands still while the machine sleeps, the other may be set. */
  get elapsedMs(): number {
    const now = momentOf(this.#clock);
    return Math.max(now.wall - this.#taken.wall, now.monotonic - this.#taken.monotonic);
  }

  /** What is thrown about a run of such a length. */
  tooLong(elapsed: number): HoldfastError {
    return new HoldfastError('BACKUP_TOO_LONG', `cannot go on with the ${this.#purpose}: it began too long ago`, {
      detail: `Expected a run of ${formatDuration(LONGEST_RUN_MS)} at most, found that this one began ${formatDuration(elapsed)} ago: what it counts on may have been deleted since.`,
      hints: ['Start it again; what was stored so far and is still there will be used.'],
      retryable: true,
    });
  }

  /** Gives the lease up. Safe to repeat. */
  release(): Promise<void> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  async #release(): Promise<void> {
    this.#stop.abort();
    await this.#renewing;
    try {
      await this.#objects.store.delete(this.name);
    } catch {
      // It ends by itself when its time is over; until then a pruner waits, which does no harm.
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** Writes the lease with a new end. */
  async renew(): Promise<void> {
    const at = momentOf(this.#clock);
    const [stat, now] = await Promise.all([this.#objects.store.stat(this.name), this.#objects.store.now()]);
    if (stat === null) {
      this.#lost ??= 'somebody removed it';
      return;
    }
    await this.#write(at, now);
  }

  /** `at` was taken before the store was asked for `now`: the lease is never believed to last longer than it does. */
  async #write(at: Moment, now: number): Promise<void> {
    const expiresAt = new Date(now + LEASE_MS).toISOString();
    const record: LeaseRecord = {
      version: 1,
      lease: this.id,
      purpose: this.#purpose,
      host: hostname(),
      pid: process.pid,
      startedAt: this.#startedAt.toISOString(),
      expiresAt,
    };
    if (this.#whyLost() !== null) return;
    await this.#objects.putVolatileJson('lease', this.name, record);
    this.#renewed = at;
  }

  /** Renews in the background until released or lost. */
  keepRenewing(): void {
    this.#renewing = this.#renewLoop();
  }

  async #renewLoop(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#whyLost() === null) {
      await this.#clock.sleep(RENEW_MS, signal);
      if (signal.aborted) return;
      try {
        await this.renew();
      } catch (error) {
        // One missed renewal is no loss; when too many are missed, `assertHeld` says so and gives this as the cause.
        this.#lastFailure = error;
      }
    }
  }

  #whyLost(): string | null {
    if (this.#lost !== null) return this.#lost;
    if (this.#renewed === null) return null;
    // A machine that slept shows it on the wall clock only, a clock that was set back shows it on the other only.
    const elapsed = Math.max(this.#clock.now() - this.#renewed.wall, this.#clock.monotonic() - this.#renewed.monotonic);
    if (elapsed <= LEASE_MS - MARGIN_MS) return null;
    const failure = this.#lastFailure === null ? '' : ` (${messageOf(this.#lastFailure)})`;
    return `it was last renewed ${Math.round(elapsed / 1000)} seconds ago${failure}`;
  }
}
