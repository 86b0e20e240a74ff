import { assert, type Clock, codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import type { RecoverySpool } from './recovery-spool.ts';

/** A file of the WAL plan: its content, in pieces and up to where it is known, and its size with the zeros behind that. */
export interface WalFileContent {
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Bytes; undefined when the pieces are all of it. */
  readonly paddedBytes?: number | undefined;
}

/** Gives a file of the WAL plan by its name; the iteration throws when it cannot be had. */
export type ReadWalFile = (name: string) => WalFileContent;

/** How fetching is bounded. All have defaults; tests choose smaller ones. */
export interface FetchLimits {
  /** How many files beyond the one asked for last are made ready: about a second of replay at full speed. */
  readonly aheadMax?: number;
  /** Reads at the same time; each holds a segment in memory. */
  readonly readsMax?: number;
  /** One read may take so long before it counts as failed. */
  readonly readMsMax?: number;
  /** So long a file is tried again when the store says that it may succeed later. */
  readonly retryMsMax?: number;
  /** So long the server bears to hear nothing of the fetcher before it stops. */
  readonly silenceSecondsMax?: number;
}

const AHEAD_MAX = 16;
const READS_MAX = 3;
const READ_MS_MAX = 120_000;
const RETRY_MS_MAX = 600_000;
const RETRY_PAUSE_MS_MIN = 250;
const RETRY_PAUSE_MS_MAX = 10_000;
/** Files kept behind the one asked for last: PostgreSQL reads the newest one again when recovery ends. */
const BEHIND_KEPT = 2;
/** How often the spool is looked at; each look is one small directory. */
const POLL_MS = 25;
/** The heartbeat is far faster than the silence that the script bears. */
const BEAT_MS = 500;

/** How one file is brought from the repository into the spool. */
interface Bringing {
  readonly spool: RecoverySpool;
  readonly read: ReadWalFile;
  readonly clock: Clock;
  readonly limits: FetchLimits;
  readonly sync: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Brings one file, again and again as long as the store says that it may succeed later and time is left. */
async function bringWithPatience(name: string, bringing: Bringing): Promise<void> {
  const { clock, limits, signal } = bringing;
  const startedAt = clock.monotonic();
  for (let pause = RETRY_PAUSE_MS_MIN; ; pause = Math.min(pause * 2, RETRY_PAUSE_MS_MAX)) {
    try {
      await bringInTime(name, bringing);
      return;
    } catch (error) {
      const isRetryable = error instanceof HoldfastError && error.retryable;
      const elapsed = clock.monotonic() - startedAt;
      if (!isRetryable || elapsed + pause > (limits.retryMsMax ?? RETRY_MS_MAX) || signal?.aborted) throw error;
      await clock.sleep(pause, signal);
    }
  }
}

/** A store that never answers must not hold up recovery for ever. What is late is given up, so that it never appears after all. */
async function bringInTime(name: string, { spool, read, clock, limits, sync }: Bringing): Promise<void> {
  const readMsMax = limits.readMsMax ?? READ_MS_MAX;
  const [patience, giveUp] = [new AbortController(), new AbortController()];
  const late = clock.sleep(readMsMax, patience.signal).then(() => 'late' as const);
  const placed = spool.place(name, read(name), { sync, signal: giveUp.signal });
  // Given up, it may fail when nobody listens any more; the failure that counts is that it was late.
  placed.catch(() => {});
  try {
    if ((await Promise.race([placed, late])) !== 'late') return;
  } finally {
    patience.abort();
  }
  giveUp.abort();
  throw new HoldfastError('RESTORE_WAL_LATE', `could not read WAL file "${name}" in time`, {
    detail: `Expected an answer of the repository within ${readMsMax} ms.`,
    retryable: true,
  });
}

/**
 * Places all files of the plan in the spool, several at a time, and makes them durable.
 * Errors: RESTORE_WAL_UNAVAILABLE with the cause when one cannot be had.
 */
export async function placeAllWal(options: {
  spool: RecoverySpool;
  files: readonly string[];
  read: ReadWalFile;
  clock: Clock;
  limits?: FetchLimits;
  signal?: AbortSignal;
  onPlaced: (name: string) => void;
}): Promise<void> {
  const { spool, limits = {} } = options;
  const bringing = { ...options, limits, sync: true };
  const waiting = options.files.values();
  const placeNext = async (): Promise<void> => {
    for (const name of waiting) {
      options.signal?.throwIfAborted();
      await bringWithPatience(name, bringing).catch((error) => {
        throw walUnavailable(name, error);
      });
      options.onPlaced(name);
    }
  };
  await Promise.all(Array.from({ length: limits.readsMax ?? READS_MAX }, placeNext));
  await spool.sync();
}

/**
 * Fetches the files of the plan ahead of a recovering server, in order, within a window that moves with what the server asks for.
 *
 * While it lives it raises the heartbeat. A file that cannot be had is written down as the spool's error, which makes the server stop
 * instead of opening early (rule A3); `failure` then has the cause.
 */
export class WalFetcher {
  readonly #spool: RecoverySpool;
  readonly #files: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #read: ReadWalFile;
  readonly #clock: Clock;
  readonly #limits: FetchLimits;
  readonly #onFetched: (name: string) => void;
  readonly #ending = new AbortController();
  readonly #ready = new Set<number>();
  readonly #reading = new Set<number>();
  readonly #urgent = new Set<number>();
  #askedLast = -1;
  #next = 0;
  #failure: HoldfastError | undefined;
  #work: Promise<void> | undefined;

  constructor(options: {
    spool: RecoverySpool;
    files: readonly string[];
    read: ReadWalFile;
    clock: Clock;
    limits?: FetchLimits;
    onFetched?: (name: string) => void;
  }) {
    this.#spool = options.spool;
    this.#files = options.files;
    this.#numbers = new Map(options.files.map((name, number) => [name, number]));
    this.#read = options.read;
    this.#clock = options.clock;
    this.#limits = options.limits ?? {};
    this.#onFetched = options.onFetched ?? (() => {});
  }

  /** Why fetching ended before it was told to. */
  get failure(): HoldfastError | undefined {
    return this.#failure;
  }

  /** Begins; returns at once. */
  start(): void {
    assert(this.#work === undefined, 'a fetcher starts once');
    this.#work = Promise.all([this.#beat(), this.#fetch()]).then(
      () => undefined,
      (error) => this.#fail(spoolUnusable(error)),
    );
  }

  /** Ends and waits until nothing is being read or written any more. Safe to repeat. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#work;
    while (this.#reading.size > 0) await this.#clock.sleep(POLL_MS);
  }

  async #beat(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      await this.#spool.beat();
      await this.#clock.sleep(BEAT_MS, this.#ending.signal);
    }
  }

  async #fetch(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      for (const name of await this.#spool.takeAsked()) this.#noteAsked(this.#numbers.get(name));
      await this.#removePassed();
      for (let number = this.#choose(); number !== undefined; number = this.#choose()) void this.#bring(number);
      await this.#clock.sleep(POLL_MS, this.#ending.signal);
    }
  }

  #noteAsked(number: number | undefined): void {
    if (number === undefined) return; // Not of the plan: the script has said so itself.
    // Backwards, too: after a restart in the middle of recovery the server begins again from an earlier file.
    this.#askedLast = number;
    this.#next = number;
    if (!this.#ready.has(number)) this.#urgent.add(number);
  }

  /** The first file that is too far ahead to be fetched now. */
  #windowEnd(): number {
    return Math.min(this.#files.length, this.#askedLast + 1 + (this.#limits.aheadMax ?? AHEAD_MAX));
  }

  async #removePassed(): Promise<void> {
    for (const number of this.#ready) {
      if (number >= this.#askedLast - BEHIND_KEPT && number < this.#windowEnd()) continue;
      this.#ready.delete(number);
      await this.#spool.remove(this.#files[number]!);
    }
  }

  /** The next file to read: what the server waits for comes first, then what it will ask for. */
  #choose(): number | undefined {
    if (this.#reading.size >= (this.#limits.readsMax ?? READS_MAX) || this.#failure !== undefined) return undefined;
    for (const number of this.#urgent) {
      this.#urgent.delete(number);
      if (!this.#ready.has(number) && !this.#reading.has(number)) return number;
    }
    while (this.#next < this.#windowEnd()) {
      const number = this.#next++;
      if (!this.#ready.has(number) && !this.#reading.has(number)) return number;
    }
    return undefined;
  }

  async #bring(number: number): Promise<void> {
    const name = this.#files[number]!;
    this.#reading.add(number);
    try {
      await bringWithPatience(name, {
        ...{ spool: this.#spool, read: this.#read, clock: this.#clock, limits: this.#limits },
        ...{ sync: false, signal: this.#ending.signal },
      });
      this.#ready.add(number);
      this.#onFetched(name);
    } catch (error) {
      if (!this.#ending.signal.aborted) await this.#fail(walUnavailable(name, error));
    } finally {
      this.#reading.delete(number);
    }
  }

  /** The first failure counts. The heartbeat goes on, so that the server hears the reason and not only silence. */
  async #fail(failure: HoldfastError): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    // A disk so full that even this cannot be written stops the heartbeat instead, and the server with it.
    await this.#spool.fail(`${failure.message}: ${messageOf(failure.cause)}`).catch(() => this.#ending.abort());
  }
}

function spoolUnusable(error: unknown): HoldfastError {
  return new HoldfastError('RESTORE_SPOOL_UNUSABLE', 'could not use the folder from which the server takes its WAL', {
    detail: `The system said: ${messageOf(error)}.`,
    cause: error,
  });
}

function walUnavailable(name: string, error: unknown): HoldfastError {
  if (codeOf(error) === 'RESTORE_WAL_UNAVAILABLE') return error as HoldfastError;
  const parts = error instanceof HoldfastError ? error : undefined;
  return new HoldfastError('RESTORE_WAL_UNAVAILABLE', `could not get WAL file "${name}" of the restore`, {
    detail: `The plan of this restore says that the file exists. ${messageOf(error)}${parts?.detail === undefined ? '' : `: ${parts.detail}`}`,
    hints: parts?.hints ?? [],
    retryable: parts?.retryable ?? false,
    cause: error,
  });
}
