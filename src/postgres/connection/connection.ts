import { type Clock, HoldfastError, messageOf } from '../../lib/index.ts';
import { PostgresError, type ServerReport } from '../postgres-error.ts';
import {
  backend,
  type Column,
  copyDataMessage,
  copyDoneMessage,
  parseCommandComplete,
  parseDataRow,
  parseParameterStatus,
  parseRowDescription,
  parseServerReport,
  queryMessage,
  terminateMessage,
} from '../protocol/index.ts';
import { parseServerVersion, type ServerVersion } from '../server-version.ts';
import { sendCancelRequest } from './cancel.ts';
import type { Session } from './log-in.ts';
import type { MessageChannel } from './message-channel.ts';
import type { ConnectionTarget } from './target.ts';

/** One result set in text form. `command` is the tag, for example 'SELECT 2'; empty when the next result followed without one. */
export interface QueryResult {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (string | null)[])[];
  readonly command: string;
}

/** The client's side of a two-way copy. */
export interface CopyBothWriter {
  /** Sends one CopyData message; small ones only, as nothing waits for the socket. */
  send(data: Uint8Array): void;
  /** Says that nothing more will be sent. Once only. */
  done(): void;
}

/** The client's side of a copy to the server. */
export interface CopyInWriter {
  /** Sends one CopyData message; a promise where the server is slower than we are. A server that has refused meanwhile ignores what comes. */
  send(data: Uint8Array): void | Promise<void>;
}

/**
 * What is told of an exchange, in the order in which the server says it. Any of them may return a promise: until it is
 * settled, nothing more is read from the socket, so that a slow consumer slows the server. An error thrown here ends the
 * exchange and the connection.
 */
export interface ExchangeHandlers {
  onResult?(result: QueryResult): void | Promise<void>;
  /** A copy to us begins. */
  onCopyOut?(): void | Promise<void>;
  /** A copy to the server begins; it ends when the promise is settled. Rejected, it takes the connection with it. */
  onCopyIn?(writer: CopyInWriter): Promise<void>;
  /** A copy in both directions begins. */
  onCopyBoth?(writer: CopyBothWriter): void | Promise<void>;
  /** The payload of one CopyData message, a view that is good only until this returns or its promise is settled. */
  onCopyData?(view: Buffer): void | Promise<void>;
  /** The server's side of the copy is done. */
  onCopyDone?(): void | Promise<void>;
  onNotice?(report: ServerReport): void;
}

/** Rows of one exchange are kept in memory; a query that wants more than this wants a copy instead. */
const RESULT_BYTES_MAX = 64 * 1024 * 1024;

/** How long `close` waits for the server to hang up. */
const CLOSE_WAIT_MS = 2_000;

interface Exchange {
  readonly handlers: ExchangeHandlers;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  columns: readonly Column[] | undefined;
  rows: (string | null)[][];
  bytes: number;
  error: PostgresError | undefined;
}

/**
 * An authenticated connection on which one exchange runs at a time.
 *
 * When an exchange fails because the server reports an error, the connection stays good; when it fails in any other way
 * (a handler threw, the link broke, a message was invalid), the connection is closed.
 */
export class PostgresConnection {
  /** The one server that answered, at the address where it did: further connections made with it meet the same one. */
  readonly target: ConnectionTarget;
  readonly processId: number;
  readonly replication: 'off' | 'physical' | 'logical';
  /** Run-time parameters as the server reports them: server_version, in_hot_standby, TimeZone … */
  readonly parameters: ReadonlyMap<string, string>;
  readonly #parameters: Map<string, string>;
  readonly #secretKey: Buffer;
  readonly #channel: MessageChannel;
  readonly #clock: Clock;
  #exchange: Exchange | undefined;
  #failure: unknown;
  #isOpen = true;
  #markClosed: () => void = () => {};
  readonly #closed: Promise<void>;

  /** Made by `connect`, which has logged in. */
  constructor(target: ConnectionTarget, session: Session, clock: Clock) {
    this.target = target;
    this.processId = session.processId;
    this.replication = session.replication;
    this.#secretKey = session.secretKey;
    this.#parameters = session.parameters;
    this.parameters = session.parameters;
    this.#channel = session.channel;
    this.#clock = clock;
    this.#closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
    session.channel.listen({
      onMessage: (type, payload) => this.#onMessage(type, payload),
      // What the server said before it hung up tells more than that it hung up.
      onLinkLost: (error) => this.#end(this.#failure ?? this.#exchange?.error ?? this.#closedError(error)),
      onDestroyed: (reason) => this.#end(reason ?? this.#closedError(undefined)),
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** True when the link is under TLS. */
  get isEncrypted(): boolean {
    return this.#channel.transport.isEncrypted;
  }

  get serverVersion(): ServerVersion {
    return parseServerVersion(this.#parameters.get('server_version') ?? '');
  }

  /** Settled, never rejected, once the connection is gone for whatever reason. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /**
   * Runs one or several statements and gives their results, all values as text.
   * Errors: PG_SERVER_ERROR, PG_RESULT_TOO_LARGE, PG_CONNECTION_CLOSED, PG_CONNECTION_BUSY.
   */
  async query(sql: string): Promise<QueryResult[]> {
    const results: QueryResult[] = [];
    await this.execute(sql, {
      onResult: (result) => {
        results.push(result);
      },
    });
    return results;
  }

  /**
   * Runs what may answer with rows, copies and notices in any order, telling each to `handlers` as it comes. Settled when the
   * server is ready for the next command.
   */
  execute(sql: string, handlers: ExchangeHandlers): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) return reject(this.#failure ?? this.#closedError(undefined));
      if (this.#exchange !== undefined) return reject(this.#busyError());
      const message = queryMessage(sql);
      this.#exchange = { handlers, resolve, reject, columns: undefined, rows: [], bytes: 0, error: undefined };
      this.#channel.send(message);
    });
  }

  /** Asks the server, over a connection of its own, to stop what it does for this one. It may be too late for that. */
  cancel(): Promise<void> {
    const key = { processId: this.processId, secretKey: this.#secretKey };
    return sendCancelRequest(this.target, this.isEncrypted ? 'required' : 'none', key, this.#clock);
  }

  /** Ends the connection in good order; safe to call again. */
  async close(): Promise<void> {
    if (this.#isOpen) {
      this.#channel.send(terminateMessage());
      this.#channel.transport.end();
    }
    const waited = new AbortController();
    await Promise.race([this.#closed, this.#clock.sleep(CLOSE_WAIT_MS, waited.signal)]);
    waited.abort();
    this.destroy();
  }

  /** Ends the connection at once; a running exchange fails with `reason`. */
  destroy(reason?: unknown): void {
    this.#channel.destroy(reason);
  }

  #onMessage(type: number, payload: Buffer): void | Promise<void> {
    switch (type) {
      case backend.parameterStatus: {
        const { name, value } = parseParameterStatus(payload);
        this.#parameters.set(name, value);
        return;
      }
      case backend.noticeResponse:
        this.#exchange?.handlers.onNotice?.(parseServerReport(payload));
        return;
      case backend.notificationResponse:
        return;
      case backend.errorResponse: {
        const error = new PostgresError(parseServerReport(payload));
        if (this.#exchange === undefined) this.#failure ??= error;
        else this.#exchange.error ??= error;
        return;
      }
    }
    if (this.#exchange === undefined) throw unexpected(type);
    return this.#onExchangeMessage(this.#exchange, type, payload);
  }

  #onExchangeMessage(exchange: Exchange, type: number, payload: Buffer): void | Promise<void> {
    const { handlers } = exchange;
    switch (type) {
      case backend.copyData:
        return handlers.onCopyData?.(payload);
      case backend.dataRow:
        exchange.bytes += payload.length;
        if (exchange.bytes > RESULT_BYTES_MAX) throw tooLarge();
        exchange.rows.push(parseDataRow(payload));
        return;
      case backend.rowDescription: {
        const waiting = this.#handOnRows(exchange, '');
        exchange.columns = parseRowDescription(payload);
        return waiting;
      }
      case backend.commandComplete:
        exchange.columns ??= [];
        return this.#handOnRows(exchange, parseCommandComplete(payload));
      case backend.emptyQueryResponse:
        return;
      case backend.copyOutResponse:
        return inOrder(this.#handOnRows(exchange, ''), () => handlers.onCopyOut?.());
      case backend.copyInResponse:
        return this.#copyIn(handlers);
      case backend.copyBothResponse:
        return handlers.onCopyBoth?.({
          send: (data) => this.#channel.send(copyDataMessage(data)),
          done: () => this.#channel.send(copyDoneMessage()),
        });
      case backend.copyDone:
        return handlers.onCopyDone?.();
      case backend.readyForQuery:
        this.#exchange = undefined;
        if (exchange.error === undefined) exchange.resolve();
        else exchange.reject(exchange.error);
        return;
      default:
        throw unexpected(type);
    }
  }

  async #copyIn(handlers: ExchangeHandlers): Promise<void> {
    if (handlers.onCopyIn === undefined) throw unexpected(backend.copyInResponse);
    const send = (data: Uint8Array) => {
      this.#channel.send(copyDataMessage(data));
      return this.#channel.drained();
    };
    await handlers.onCopyIn({ send });
    this.#channel.send(copyDoneMessage());
  }

  /** Tells the rows gathered so far, if any result set is open. */
  #handOnRows(exchange: Exchange, command: string): void | Promise<void> {
    if (exchange.columns === undefined) return;
    const result = { columns: exchange.columns, rows: exchange.rows, command };
    exchange.columns = undefined;
    exchange.rows = [];
    return exchange.handlers.onResult?.(result);
  }

  #end(failure: unknown): void {
    this.#isOpen = false;
    this.#failure = failure;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.reject(failure);
    this.#markClosed();
  }

  #closedError(cause: unknown): HoldfastError {
    return new HoldfastError('PG_CONNECTION_CLOSED', `lost the connection to ${this.target.place}`, {
      detail: cause === undefined ? 'The connection was closed.' : `The system said: ${messageOf(cause)}.`,
      hints: ['Check that the server runs and that the network to it holds, then run the command again.'],
      retryable: true,
      cause,
    });
  }

  #busyError(): HoldfastError {
    return new HoldfastError('PG_CONNECTION_BUSY', `the connection to ${this.target.place} is in use`, {
      detail: 'A command was sent while the answer to another one was still awaited.',
    });
  }
}

function inOrder(first: void | Promise<void>, second: () => void | Promise<void>): void | Promise<void> {
  return first === undefined ? second() : first.then(second);
}

function unexpected(type: number): HoldfastError {
  return new HoldfastError('PG_PROTOCOL_VIOLATION', 'unexpected message from the server', {
    detail: `A message of type "${String.fromCharCode(type)}" has no place here.`,
  });
}

function tooLarge(): HoldfastError {
  return new HoldfastError('PG_RESULT_TOO_LARGE', 'cannot keep the result of a query in memory', {
    detail: `Expected at most ${RESULT_BYTES_MAX} bytes of rows.`,
  });
}
