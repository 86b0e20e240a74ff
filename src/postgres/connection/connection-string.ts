import { existsSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { HoldfastError } from '../../lib/index.ts';
import { readPasswordFile } from './password-file.ts';
import { ConnectionTarget, type SslMode } from './target.ts';

/** Where defaults come from: the environment variables, and what stands for the machine and its user. */
export interface ConnectionEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly homeDirectory?: string;
  readonly userName?: string;
}

/** Where servers put their Unix socket: Debian's and Red Hat's place, then PostgreSQL's own default. */
const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];

const PORT_DEFAULT = '5432';
const CONNECT_TIMEOUT_SECONDS_DEFAULT = '10';
/** libpq takes 1 for 2, so that a timer that is just about to tick does not end an attempt at once. */
const CONNECT_TIMEOUT_SECONDS_MIN = 2;
/** An attempt that takes longer than an hour will not succeed. */
const CONNECT_TIMEOUT_SECONDS_MAX = 3600;

/** Parameters that are used, each with the environment variable that stands in for it. */
const PARAMETERS: Readonly<Record<string, string | undefined>> = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  dbname: 'PGDATABASE',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  channel_binding: 'PGCHANNELBINDING',
  application_name: 'PGAPPNAME',
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
};

/**
 * Parameters that may stand there and change nothing here: each only tunes libpq itself or, as `DATABASE_URL` is often shared
 * with the application, the pool or the mapper of the application.
 */
const PARAMETERS_WITHOUT_EFFECT = new Set([
  'client_encoding',
  'connection_limit',
  'fallback_application_name',
  'gssencmode',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'pgbouncer',
  'pool_timeout',
  'schema',
  'socket_timeout',
  'sslcompression',
  'sslnegotiation',
  'sslsni',
  'tcp_user_timeout',
  'uselibpqcompat',
]);

const SSL_MODES: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/**
 * Reads a libpq connection string, as a URI or in key=value form, and fills what it leaves open from the environment, the
 * password file and libpq's defaults.
 *
 * Shape:  postgresql://user:password@host:port/database?parameter=value (also postgres://, any part may be missing, percent
 *         encoded), or words such as `host=/run/postgresql user='anna b'`. A host that begins with '/' is a socket's directory.
 * Errors: PG_CONNECTION_STRING_INVALID, PG_CONNECTION_STRING_UNSUPPORTED (several hosts). The text itself, which may hold a
 *         password, is never quoted.
 * Source: PostgreSQL manual, "Connection Strings", "Environment Variables".
 */
export function parseConnectionString(text: string, environment: ConnectionEnvironment): ConnectionTarget {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme !== undefined && scheme !== 'postgres' && scheme !== 'postgresql')
    throw invalid(`Expected an address that begins with "postgresql://", found "${scheme}://".`, uriHint);
  const given = /^postgres(ql)?:\/\//.test(text) ? parseUri(text) : parseKeyValue(text);
  for (const name of given.keys()) {
    if (!(name in PARAMETERS) && !PARAMETERS_WITHOUT_EFFECT.has(name)) {
      // Where quoting went wrong, what looks like a name may be a piece of the password.
      throw invalid(`${given.has('password') ? 'A parameter' : `The parameter "${name}"`} is not recognized.`);
    }
  }
  const value = (name: string): string | undefined => {
    const variable = PARAMETERS[name];
    return given.get(name) || (variable === undefined ? undefined : environment.variables[variable]) || undefined;
  };
  return makeTarget(value, environment);
}

function makeTarget(value: (name: string) => string | undefined, environment: ConnectionEnvironment): ConnectionTarget {
  const port = parsePort(value('port') ?? PORT_DEFAULT);
  const host = value('hostaddr') ?? value('host') ?? defaultHost(port);
  if (host.includes(',')) {
    throw new HoldfastError('PG_CONNECTION_STRING_UNSUPPORTED', 'cannot use a connection string with several hosts', {
      detail: 'A list of hosts was given, and this version connects to one server.',
      hints: ['Name the server that is to be protected.'],
    });
  }
  const user = value('user') ?? environment.userName ?? userInfo().username;
  const database = value('dbname') ?? user;
  const home = environment.homeDirectory ?? homedir();
  const passwordFile = value('passfile') ?? `${home}/.pgpass`;
  const passwordHost = SOCKET_DIRECTORIES.includes(host) ? 'localhost' : host;
  return new ConnectionTarget({
    host,
    port,
    user,
    password: value('password') ?? readPasswordFile(passwordFile, { host: passwordHost, port, database, user }),
    database,
    sslMode: oneOf('sslmode', value('sslmode') ?? 'prefer', SSL_MODES),
    sslRootCertificate: value('sslrootcert'),
    sslCertificate: value('sslcert'),
    sslKey: value('sslkey'),
    channelBinding: oneOf('channel_binding', value('channel_binding') ?? 'prefer', ['disable', 'prefer', 'require']),
    applicationName: value('application_name'),
    options: value('options'),
    connectTimeoutMs: parseTimeout(value('connect_timeout') ?? CONNECT_TIMEOUT_SECONDS_DEFAULT),
  });
}

/** Shape: scheme '://' [user [':' password] '@'] [host [':' port]] ['/' database] ['?' name '=' value ['&' …]]. */
function parseUri(text: string): Map<string, string> {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(text);
  if (match === null) throw invalid('The URI cannot be taken apart.', uriHint);
  const [, login, address, database, query] = match;
  // A raw '@' behind the host means that the password has a raw '@', '/' or '?', and that its rest would pass for a host or a name.
  if (`${address}${database}${query}`.includes('@')) throw invalid('There is an @ behind the host.', uriHint);
  const values = new Map<string, string>();
  const set = (name: string, encoded: string | undefined) => {
    if (encoded !== undefined && encoded !== '') values.set(name, decode(encoded, name));
  };
  if (login !== undefined) {
    const colon = login.indexOf(':');
    set('user', colon < 0 ? login : login.slice(0, colon));
    if (colon >= 0) set('password', login.slice(colon + 1));
  }
  if (address?.includes(',')) values.set('host', address);
  else if (address !== undefined && address !== '') {
    const parts = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]]*))(?::([0-9]*))?$/.exec(address);
    if (parts === null) throw invalid('The host and port of the URI cannot be read.', uriHint);
    set('host', parts[1] ?? parts[2]);
    set('port', parts[3]);
  }
  set('dbname', database);
  for (const pair of query?.split('&') ?? []) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 1) throw invalid('A parameter of the URI has no name or no value.', uriHint);
    const name = decode(pair.slice(0, equals), 'a parameter');
    if (name === 'ssl' && pair.slice(equals + 1) === 'true') values.set('sslmode', 'require');
    else set(name, pair.slice(equals + 1));
  }
  return values;
}

const uriHint =
  'Write postgresql://user:password@host:5432/database and percent-encode @, :, / and % inside the user or password.';

/** Shape: name '=' value, separated by white space; a value with spaces in single quotes; \' and \\ inside. */
function parseKeyValue(text: string): Map<string, string> {
  const values = new Map<string, string>();
  const word = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/sy;
  let at = 0;
  while (text.slice(at).trim() !== '') {
    word.lastIndex = at;
    const match = word.exec(text);
    if (match === null) throw invalid('Expected words of the form name=value.', uriHint);
    values.set(match[1] as string, (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gs, '$1'));
    at = word.lastIndex;
  }
  return values;
}

function decode(encoded: string, name: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(encoded);
  } catch {
    throw invalid(`The percent-encoding of ${name} is broken.`, uriHint);
  }
  if (decoded.includes('\0')) throw invalid(`There is a zero byte in ${name}.`);
  return decoded;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || port < 1 || port > 65535) {
    throw invalid('Expected a port between 1 and 65535.');
  }
  return port;
}

/** Seconds in text to milliseconds; 0 or less means no limit for libpq, and the longest one here. */
function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (!Number.isInteger(seconds)) throw invalid('Expected whole seconds as connect_timeout.');
  if (seconds <= 0) return CONNECT_TIMEOUT_SECONDS_MAX * 1000;
  return Math.min(Math.max(seconds, CONNECT_TIMEOUT_SECONDS_MIN), CONNECT_TIMEOUT_SECONDS_MAX) * 1000;
}

function oneOf<Value extends string>(name: string, text: string, allowed: readonly Value[]): Value {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw invalid(`Expected ${name} to be one of ${allowed.join(', ')}.`);
  return found;
}

function defaultHost(port: number): string {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`)) ?? 'localhost';
}

function invalid(detail: string, hint?: string): HoldfastError {
  return new HoldfastError('PG_CONNECTION_STRING_INVALID', 'invalid connection string', {
    detail,
    hints: hint === undefined ? [] : [hint],
  });
}
