import { randomInt } from 'node:crypto';
import { type Clock, HoldfastError, systemClock } from '../../lib/index.ts';
import { PostgresError } from '../postgres-error.ts';
import { PostgresConnection } from './connection.ts';
import { addDetail, allFailed, tell } from './failed-attempts.ts';
import { logIn } from './log-in.ts';
import { MessageChannel } from './message-channel.ts';
import { type ResolveHost, resolveServer, systemResolver } from './resolve-host.ts';
import { checkSessionRole } from './session-role.ts';
import type { ConnectionTarget, SessionAttributes } from './target.ts';
import { type Encryption, openTransport } from './transport.ts';

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
  /** How names are looked up; the system does it unless told otherwise. */
  readonly resolveHost?: ResolveHost;
}

/** A server that is not yet known may send messages of at most this size; libpq stops at 30,000 bytes. */
const LOGIN_MESSAGE_BYTES_MAX = 64 * 1024;

/** The largest message believed afterwards. PostgreSQL's own limit is 1 GiB; nothing that we ask for comes near this. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/** Failures after which another address of the same server may answer. */
const NEXT_ADDRESS_CODES = new Set(['PG_CONNECTION_REFUSED', 'PG_CONNECT_TIMEOUT', 'PG_CONNECTION_CLOSED']);

/** Failures that hold for all addresses of a server, and after which another server may do. */
const NEXT_SERVER_CODES = new Set([
  'PG_HOST_NOT_FOUND',
  'PG_SERVER_ROLE_WRONG',
  'PG_SERVER_STARTING',
  'PG_SOCKET_PATH_TOO_LONG',
]);

/**
 * Connects to the first server of the target that answers and is of the wanted kind, and logs in. Names are looked up anew each time.
 *
 * A server that refuses the login ends the search, as with libpq: the next one would hardly know us better. Goes beyond libpq where a
 * server hangs up before the login is done: the next one is tried.
 *
 * Errors: those of `openTransport`, `logIn` and `checkSessionRole`; PG_CONNECT_TIMEOUT, PG_HOST_NOT_FOUND, PG_CANCELLED;
 *         PG_NO_SERVER_FOUND when several were tried and failed in different ways. None of them holds the password.
 */
export async function connect(target: ConnectionTarget, options: ConnectOptions = {}): Promise<PostgresConnection> {
  const { sessionAttributes = 'any' } = target.parts;
  const passes: SessionAttributes[] =
    sessionAttributes === 'prefer-standby' ? ['prefer-standby', 'any'] : [sessionAttributes];
  let failures: HoldfastError[] = [];
  for (const wanted of passes) {
    failures = [];
    for (const server of inOrder(target, target.servers)) {
      const connection = await tryServer(target.at(server), wanted, options, failures);
      if (connection !== null) return connection;
    }
  }
  throw allFailed(target, failures);
}

/** Tries the addresses of one server; adds to `failures` what was in vain. */
async function tryServer(
  target: ConnectionTarget,
  wanted: SessionAttributes,
  options: ConnectOptions,
  failures: HoldfastError[],
): Promise<PostgresConnection | null> {
  const fail = (error: unknown, codes: ReadonlySet<string>) => {
    if (!(error instanceof HoldfastError)) throw error;
    if (!codes.has(error.code) && !NEXT_SERVER_CODES.has(error.code)) {
      throw failures.reduce((whole, earlier) => addDetail(whole, `Before: ${tell(earlier)}`), error);
    }
    failures.push(error);
    return NEXT_SERVER_CODES.has(error.code);
  };
  let addresses: ConnectionTarget[];
  try {
    addresses = await findAddresses(target, options);
  } catch (error) {
    fail(error, NEXT_ADDRESS_CODES);
    return null;
  }
  for (const address of inOrder(target, addresses)) {
    try {
      return await connectTo(address, wanted, options);
    } catch (error) {
      if (fail(error, NEXT_ADDRESS_CODES)) return null;
    }
  }
  return null;
}

/** In the given order, or in another one each time when the load is to be spread. */
function inOrder<Item>(target: ConnectionTarget, items: readonly Item[]): Item[] {
  const ordered = [...items];
  if (target.parts.balancesLoad !== true) return ordered;
  for (let end = ordered.length - 1; end > 0; end--) {
    const at = randomInt(end + 1);
    [ordered[end], ordered[at]] = [ordered[at] as Item, ordered[end] as Item];
  }
  return ordered;
}

/** A resolver that hangs is given as long as a server that does. */
async function findAddresses(target: ConnectionTarget, options: ConnectOptions): Promise<ConnectionTarget[]> {
  const giveUp = new AbortController();
  const stopWatching = watch(target, options, giveUp);
  try {
    giveUp.signal.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      giveUp.signal.addEventListener('abort', () => reject(giveUp.signal.reason), { once: true });
    });
    return await Promise.race([resolveServer(target, options.resolveHost ?? systemResolver), aborted]);
  } finally {
    stopWatching.timer();
    stopWatching.signal();
  }
}

/** Connects to one address, within the time for one, in the ways that sslmode allows. */
async function connectTo(
  target: ConnectionTarget,
  wanted: SessionAttributes,
  options: ConnectOptions,
): Promise<PostgresConnection> {
  const giveUp = new AbortController();
  const stopWatching = watch(target, options, giveUp);
  try {
    const connection = await openInEitherWay(target, options, giveUp.signal);
    try {
      await checkSessionRole(connection, wanted);
    } catch (error) {
      await connection.close();
      throw error;
    }
    stopWatching.timer();
    void connection.closed.then(stopWatching.signal);
    return connection;
  } catch (error) {
    stopWatching.timer();
    stopWatching.signal();
    throw error;
  }
}

/** With sslmode=prefer a connection that fails under TLS is tried in the clear, with allow the other way round. */
async function openInEitherWay(
  target: ConnectionTarget,
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<PostgresConnection> {
  const [first, second] = waysOf(target);
  const attempt: Attempt = { isEncrypted: false };
  try {
    return await openConnection(target, first, options, signal, attempt);
  } catch (error) {
    if (second === undefined || !(error instanceof HoldfastError) || !allowsOtherWay(error, first, attempt))
      throw error;
    try {
      return await openConnection(target, second, options, signal, attempt);
    } catch (otherError) {
      if (!(otherError instanceof HoldfastError)) throw otherError;
      throw ofBothWays(first === 'none', error, otherError);
    }
  }
}

function waysOf(target: ConnectionTarget): readonly [Encryption, Encryption?] {
  const { sslMode } = target.parts;
  if (target.isLocal || sslMode === 'disable') return ['none'];
  if (sslMode === 'allow') return ['none', 'required'];
  return sslMode === 'prefer' ? ['offered', 'none'] : ['required'];
}

/** How far an attempt has come. */
interface Attempt {
  isEncrypted: boolean;
}

/** What TLS or its absence may have been the reason for: lines of pg_hba.conf tell the two apart. */
function allowsOtherWay(error: HoldfastError, tried: Encryption, attempt: Attempt): boolean {
  if (error.code === 'PG_TLS_FAILED' || error.code === 'PG_CERTIFICATE_REFUSED') return true;
  const isOther = tried === 'none' || attempt.isEncrypted;
  return isOther && error instanceof PostgresError && error.code !== 'PG_SERVER_STARTING';
}

/** The error that tells more, with the other one behind it: that no line fits one of the two ways is rarely the point. */
function ofBothWays(wasPlainFirst: boolean, first: HoldfastError, second: HoldfastError): HoldfastError {
  const isSecondBetter = first.code === 'PG_ACCESS_DENIED' && second.code !== 'PG_ACCESS_DENIED';
  const [main, other] = isSecondBetter ? [second, first] : [first, second];
  const way = wasPlainFirst === isSecondBetter ? 'Without TLS' : 'With TLS';
  return main.detail === other.detail ? main : addDetail(main, `${way}: ${tell(other)}`);
}

async function openConnection(
  target: ConnectionTarget,
  encryption: Encryption,
  options: ConnectOptions,
  signal: AbortSignal,
  attempt: Attempt,
): Promise<PostgresConnection> {
  const transport = await openTransport(target, encryption, signal);
  attempt.isEncrypted = transport.isEncrypted;
  const channel = new MessageChannel(transport, LOGIN_MESSAGE_BYTES_MAX);
  signal.addEventListener('abort', () => channel.destroy(signal.reason), { once: true });
  const session = await logIn(channel, target, startupParameters(target, options)).catch((error: unknown) => {
    channel.destroy(error);
    throw error;
  });
  channel.messageBytesMax = MESSAGE_BYTES_MAX;
  return new PostgresConnection(target, session, options.clock ?? systemClock);
}

/** Aborts `giveUp` when the time for connecting is over or the caller's signal is aborted, until told to stop watching each. */
function watch(target: ConnectionTarget, { clock = systemClock, signal }: ConnectOptions, giveUp: AbortController) {
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
