import { type Clock, HoldfastError, systemClock } from '../../lib/index.ts';
import { PostgresConnection } from './connection.ts';
import { logIn } from './log-in.ts';
import { MessageChannel } from './message-channel.ts';
import type { ConnectionTarget } from './target.ts';
import { openTransport } from './transport.ts';

export interface ConnectOptions {
  /** 'physical' speaks of the whole cluster, 'logical' of one database, 'off' (the default) is for ordinary SQL. */
  readonly replication?: 'off' | 'physical' | 'logical';
  /** Shown in pg_stat_activity, and matched by synchronous_standby_names. */
  readonly applicationName?: string | undefined;
  /** Another database than the target's. */
  readonly database?: string | undefined;
  /** Settings for the session, for example `{ statement_timeout: '10s' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Gives up the attempt and, later, ends the connection. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
}

/** A server that is not yet known may send messages of at most this size; libpq stops at 30,000 bytes. */
const LOGIN_MESSAGE_BYTES_MAX = 64 * 1024;

/** The largest message believed afterwards. PostgreSQL's own limit is 1 GiB; nothing that we ask for comes near this. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Connects to the target and logs in.
 *
 * Errors: those of `openTransport` and `logIn`; PG_CONNECT_TIMEOUT, PG_CANCELLED. None of them holds the password.
 */
export async function connect(target: ConnectionTarget, options: ConnectOptions = {}): Promise<PostgresConnection> {
  const clock = options.clock ?? systemClock;
  const giveUp = new AbortController();
  const stopWatching = watch(target, clock, options.signal, giveUp);
  try {
    const channel = new MessageChannel(await openTransport(target, giveUp.signal), LOGIN_MESSAGE_BYTES_MAX);
    giveUp.signal.addEventListener('abort', () => channel.destroy(giveUp.signal.reason), { once: true });
    const session = await logIn(channel, target, startupParameters(target, options)).catch((error: unknown) => {
      channel.destroy(error);
      throw error;
    });
    channel.messageBytesMax = MESSAGE_BYTES_MAX;
    stopWatching.timer();
    const connection = new PostgresConnection(target, session, clock);
    void connection.closed.then(stopWatching.signal);
    return connection;
  } catch (error) {
    stopWatching.timer();
    stopWatching.signal();
    throw error;
  }
}

/** Aborts `giveUp` when the time for connecting is over or the caller's signal is aborted, until told to stop watching each. */
function watch(target: ConnectionTarget, clock: Clock, signal: AbortSignal | undefined, giveUp: AbortController) {
  const timer = new AbortController();
  const timeoutMs = target.parts.connectTimeoutMs;
  void clock.sleep(timeoutMs, timer.signal).then(() => {
    if (!timer.signal.aborted) giveUp.abort(timedOut(target, timeoutMs));
  });
  const onAbort = () => giveUp.abort(cancelled(target, signal?.reason));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  return { timer: () => timer.abort(), signal: () => signal?.removeEventListener('abort', onAbort) };
}

function startupParameters(target: ConnectionTarget, options: ConnectOptions): Map<string, string> {
  const { applicationName, options: commandLine } = target.parts;
  const parameters = new Map([
    ['user', target.user],
    ['database', options.database ?? target.database],
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO'],
    ['application_name', options.applicationName ?? applicationName ?? 'holdfast'],
  ]);
  if (options.replication === 'physical') parameters.set('replication', 'true');
  if (options.replication === 'logical') parameters.set('replication', 'database');
  if (commandLine !== undefined) parameters.set('options', commandLine);
  for (const [name, value] of Object.entries(options.settings ?? {})) parameters.set(name, value);
  return parameters;
}

function timedOut(target: ConnectionTarget, timeoutMs: number): HoldfastError {
  return new HoldfastError('PG_CONNECT_TIMEOUT', `could not connect to ${target.place}: no answer`, {
    detail: `Expected the login to be done within ${timeoutMs / 1000} seconds.`,
    hints: ['Check the host and the port, and that no firewall drops the packets.'],
    retryable: true,
  });
}

function cancelled(target: ConnectionTarget, reason: unknown): HoldfastError {
  return new HoldfastError('PG_CANCELLED', `gave up the connection to ${target.place}`, { cause: reason });
}
