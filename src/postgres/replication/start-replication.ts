import { type Clock, HoldfastError, systemClock } from '../../lib/index.ts';
import type { CopyBothWriter, PostgresConnection, QueryResult } from '../connection/index.ts';
import { formatLsn, parseLsn } from '../lsn.ts';
import { timestampFromMilliseconds } from '../timestamp.ts';
import { onlyRow } from './rows.ts';
import { checkSlotName } from './slot.ts';
import {
  formatStatusUpdate,
  KEEPALIVE,
  type Keepalive,
  parseKeepalive,
  parseWalMessage,
  type StandbyStatus,
  type WalMessage,
  XLOG_DATA,
} from './streaming-messages.ts';

export type { Keepalive, StandbyStatus, WalMessage } from './streaming-messages.ts';

export interface WalStreamOptions {
  readonly startLsn: bigint;
  readonly timeline: number;
  /** The physical slot that keeps WAL for us, if any. */
  readonly slot?: string | undefined;
  /** A link on which nothing was heard for this long is given up; at half of it, the server is asked to answer. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** Takes WAL, in order and without gaps. A promise holds the server back, and the view stays good until it is settled. */
  onWal(message: WalMessage): void | Promise<void>;
  /** A keepalive came. One that asks for a reply gets the latest status at once, without this having to see to it. */
  onKeepalive?(keepalive: Keepalive): void;
}

/**
 * Why a stream came to its end without an error: the server has no more WAL of this timeline; the server is shut down in good
 * order; or we asked for it.
 */
export type ReplicationEnd =
  | { readonly ended: 'timeline'; readonly nextTimeline: number; readonly switchLsn: bigint }
  | { readonly ended: 'server-shutdown' }
  | { readonly ended: 'stopped' };

/** WAL that flows until `ended` is settled. */
export interface WalStream {
  /** Rejected with PG_REPLICATION_STALLED, PG_SERVER_ERROR, PG_CONNECTION_CLOSED or what `onWal` threw. */
  readonly ended: Promise<ReplicationEnd>;
  /** Tells the server at once how far we are; the status is told again whenever the server asks. */
  sendStatus(status: StandbyStatus): void;
  /** Asks the server to end the stream; it may send some more WAL first. The connection stays good for the next command. */
  stop(): Promise<ReplicationEnd>;
}

/** As wal_receiver_timeout has it by default. */
const TIMEOUT_MS_DEFAULT = 60_000;

/** The link is looked at so many times within the timeout. */
const CHECKS_PER_TIMEOUT = 10;

/**
 * Starts streaming WAL (START_REPLICATION … PHYSICAL), settled once the server has agreed.
 *
 * Errors: PG_SERVER_ERROR (58P01: the WAL asked for is gone; 55006: the slot is in use; XX000: the position is not in this
 *         timeline's history), PG_SLOT_NAME_INVALID.
 * Source: PostgreSQL manual, "Streaming Replication Protocol", START_REPLICATION.
 */
export async function startReplication(connection: PostgresConnection, options: WalStreamOptions): Promise<WalStream> {
  const slot = options.slot === undefined ? '' : `SLOT ${options.slot} `;
  if (options.slot !== undefined) checkSlotName(options.slot);
  const command = `START_REPLICATION ${slot}PHYSICAL ${formatLsn(options.startLsn)} TIMELINE ${options.timeline}`;
  return await new Promise((resolve, reject) => {
    const stream = new PhysicalStream(connection, options, () => resolve(stream));
    stream.ended.then(
      // The server has nothing after the position on this timeline, and said so without starting a copy.
      () => resolve(stream),
      reject,
    );
    stream.run(command);
  });
}

class PhysicalStream implements WalStream {
  readonly ended: Promise<ReplicationEnd>;
  readonly #connection: PostgresConnection;
  readonly #options: WalStreamOptions;
  readonly #clock: Clock;
  readonly #onStarted: () => void;
  #settle!: { resolve: (end: ReplicationEnd) => void; reject: (error: unknown) => void };
  #writer: CopyBothWriter | undefined;
  #status: StandbyStatus;
  #nextTimeline: { timeline: number; lsn: bigint } | undefined;
  #serverIsDone = false;
  #isStopping = false;
  readonly #finished = new AbortController();
  /** When the server was last heard, or last kept waiting by us, on the clock's monotonic scale. */
  #heardAt: number;
  #isConsumerBusy = false;
  #hasAsked = false;

  constructor(connection: PostgresConnection, options: WalStreamOptions, onStarted: () => void) {
    this.#connection = connection;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#onStarted = onStarted;
    this.#status = { write: options.startLsn, flush: 0n };
    this.#heardAt = this.#clock.monotonic();
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever awaits `ended` gets the error; a caller that only awaits the start must not crash the process later.
    this.ended.catch(() => {});
  }

  run(command: string): void {
    this.#connection
      .execute(command, {
        onCopyBoth: (writer) => {
          this.#writer = writer;
          this.#heardAt = this.#clock.monotonic();
          void this.#watchLink();
          this.#onStarted();
        },
        onCopyData: (view) => this.#onCopyData(view),
        onCopyDone: () => this.#onServerDone(),
        onResult: (result) => this.#onResult(result),
      })
      .then(
        () => this.#settle.resolve(this.#endInOrder()),
        (error) => this.#settle.reject(error),
      )
      .finally(() => this.#finished.abort());
  }

  sendStatus(status: StandbyStatus): void {
    this.#status = { write: status.write, flush: status.flush };
    if (this.#isStopping || this.#serverIsDone || !this.#connection.isOpen) return;
    this.#writer?.send(formatStatusUpdate(status, timestampFromMilliseconds(this.#clock.now())));
  }

  stop(): Promise<ReplicationEnd> {
    if (!this.#isStopping && !this.#serverIsDone && this.#connection.isOpen) {
      this.#isStopping = true;
      this.#writer?.done();
    }
    return this.ended;
  }

  #onCopyData(view: Buffer): void | Promise<void> {
    this.#heardAt = this.#clock.monotonic();
    this.#hasAsked = false;
    if (view[0] === XLOG_DATA) return this.#whileBusy(this.#options.onWal(parseWalMessage(view)));
    if (view[0] !== KEEPALIVE) {
      throw new HoldfastError('PG_PROTOCOL_VIOLATION', 'unrecognized message in the WAL stream', {
        detail: `A message begins with the byte ${view[0]}.`,
      });
    }
    const keepalive = parseKeepalive(view);
    if (keepalive.replyRequested) this.sendStatus(this.#status);
    this.#options.onKeepalive?.(keepalive);
  }

  /** While our own consumer holds the socket, silence is not the server's fault. */
  #whileBusy(work: void | Promise<void>): void | Promise<void> {
    if (work === undefined) return;
    this.#isConsumerBusy = true;
    return work.then(() => {
      this.#isConsumerBusy = false;
      this.#heardAt = this.#clock.monotonic();
    });
  }

  /** The server ended its side; it answers the rest only after we ended ours. */
  #onServerDone(): void {
    this.#serverIsDone = true;
    if (!this.#isStopping) this.#writer?.done();
  }

  #onResult(result: QueryResult): void {
    if (result.rows.length > 0) {
      const row = onlyRow([result], 'START_REPLICATION');
      this.#nextTimeline = { timeline: row.integer('next_tli'), lsn: parseLsn(row.text('next_tli_startpos')) };
    } else if (this.#writer !== undefined && !this.#serverIsDone && !this.#isStopping) {
      // A command that completes in the middle of the copy is how a server that is shut down says goodbye; it hangs up next,
      // and that the exchange then fails no longer matters.
      this.#settle.resolve({ ended: 'server-shutdown' });
      this.#connection.destroy();
    }
  }

  #endInOrder(): ReplicationEnd {
    if (this.#nextTimeline !== undefined) {
      return { ended: 'timeline', nextTimeline: this.#nextTimeline.timeline, switchLsn: this.#nextTimeline.lsn };
    }
    return { ended: 'stopped' };
  }

  async #watchLink(): Promise<void> {
    const timeoutMs = this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    for (;;) {
      await this.#clock.sleep(timeoutMs / CHECKS_PER_TIMEOUT, this.#finished.signal);
      if (this.#finished.signal.aborted) return;
      if (this.#isConsumerBusy) {
        // The server's questions wait unread in the socket; without a word from us it would take us for dead.
        this.sendStatus(this.#status);
        continue;
      }
      const silentMs = this.#clock.monotonic() - this.#heardAt;
      if (silentMs >= timeoutMs) {
        this.#connection.destroy(stalled(this.#connection.target.place, timeoutMs));
        return;
      }
      if (silentMs >= timeoutMs / 2 && !this.#hasAsked) {
        this.#hasAsked = true;
        this.sendStatus({ ...this.#status, replyRequested: true });
      }
    }
  }
}

function stalled(place: string, timeoutMs: number): HoldfastError {
  return new HoldfastError('PG_REPLICATION_STALLED', `could not hear ${place} any more on the WAL stream`, {
    detail: `Nothing came for ${timeoutMs / 1000} seconds, although the server was asked to answer.`,
    hints: ['Check the network between here and the server, and that the server is not stopped.'],
    retryable: true,
  });
}
