import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { homedir, userInfo } from 'node:os';
import { invalidString, unsupportedString } from './invalid-string.ts';
import { isParameter, PARAMETERS, type ParameterName, sortOut } from './parameters.ts';
import { SOCKET_DIRECTORIES } from './password-file.ts';
import { parseRequireAuth } from './require-auth.ts';
import { readService } from './service-file.ts';
import { readStringForms } from './string-forms.ts';
import { ConnectionTarget, type Keepalive, type ServerPlace, type SslMode, type TlsParts } from './target.ts';

/** Where defaults come from: the environment variables, and what stands for the machine and its user. */
export interface ConnectionEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly homeDirectory?: string;
  readonly userName?: string;
}

const PORT_DEFAULT = 5432;
/** libpq waits for ever unless told otherwise; a backup that hangs is worse than one that fails. */
const CONNECT_TIMEOUT_SECONDS_DEFAULT = 10;
/** libpq takes 1 for 2, so that a timer that is just about to tick does not end an attempt at once. */
const CONNECT_TIMEOUT_SECONDS_MIN = 2;
/** An attempt that takes longer than an hour will not succeed. */
const CONNECT_TIMEOUT_SECONDS_MAX = 3600;
/** More would be a slip, and each costs up to a timeout. */
const SERVERS_MAX = 64;

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const SESSION_ATTRIBUTES = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;

/** Gives a parameter: `undefined` when nobody gave it, '' when it was given as empty. */
type Value = (name: ParameterName) => string | undefined;

/**
 * Reads a libpq connection string, as a URI or in key=value form, and fills what it leaves open from the service file, the
 * environment and libpq's defaults. Password and TLS files are read later, at each login.
 *
 * Shape:  postgresql://user:password@host:port,host:port/database?parameter=value (also postgres://, any part may be missing,
 *         percent-encoded), or words such as `host=/run/postgresql user='anna b'`.
 * Errors: PG_CONNECTION_STRING_INVALID, PG_CONNECTION_STRING_UNSUPPORTED, PG_SERVICE_NOT_FOUND, PG_SERVICE_FILE_INVALID. The text
 *         itself, which may hold a password, is never quoted.
 * Source: PostgreSQL manual, "Connection Strings", "Parameter Key Words", "Environment Variables".
 */
export function parseConnectionString(text: string, environment: ConnectionEnvironment): ConnectionTarget {
  const homeDirectory = environment.homeDirectory ?? homedir();
  const { variables } = environment;
  const given = readStringForms(text);
  checkNames(given);
  const service = given.get('service') ?? variables.PGSERVICE;
  if (service !== undefined && service !== '') {
    const found = readService(service, { variables, homeDirectory });
    checkNames(found);
    for (const [name, value] of found) if (!given.has(name)) given.set(name, value);
  }
  const withoutEffect = sortOut(given);
  const value: Value = (name) => {
    const variable = PARAMETERS[name];
    // An empty variable is how shells leave one out; libpq would take some for values.
    return given.get(name) ?? (variable === undefined ? undefined : variables[variable] || undefined);
  };
  return makeTarget(value, { ...environment, homeDirectory }, withoutEffect);
}

function checkNames(given: ReadonlyMap<string, string>): void {
  for (const name of given.keys()) {
    if (isParameter(name)) continue;
    // Where quoting went wrong, what looks like a name may be a piece of the password.
    throw invalidString(`${given.has('password') ? 'A parameter' : `The parameter "${name}"`} is not recognized.`);
  }
}

function makeTarget(
  value: Value,
  environment: ConnectionEnvironment & { homeDirectory: string },
  withoutEffect: readonly string[],
): ConnectionTarget {
  const servers = readServers(value);
  refuseUnsupported(value, servers);
  const user = value('user') || (environment.userName ?? userInfo().username);
  const requireAuth = value('require_auth');
  return new ConnectionTarget({
    servers,
    balancesLoad:
      oneOf('load_balance_hosts', value('load_balance_hosts') ?? 'disable', ['disable', 'random']) === 'random',
    sessionAttributes: oneOf('target_session_attrs', value('target_session_attrs') ?? 'any', SESSION_ATTRIBUTES),
    user,
    password: value('password') || undefined,
    passwordFile: value('passfile') || `${environment.homeDirectory}/.pgpass`,
    database: value('dbname') || user,
    ...readTls(value, environment),
    channelBinding: oneOf('channel_binding', value('channel_binding') ?? 'prefer', ['disable', 'prefer', 'require']),
    requireAuthentication: requireAuth ? parseRequireAuth(requireAuth) : undefined,
    applicationName: value('application_name') || value('fallback_application_name') || undefined,
    options: value('options') || undefined,
    keepalive: readKeepalive(value),
    connectTimeoutMs: readTimeout(value),
    withoutEffect,
  });
}

/** The lists of hosts, addresses and ports go together entry by entry; one port may stand for all. */
function readServers(value: Value): readonly [ServerPlace, ...ServerPlace[]] {
  const addresses = list(value('hostaddr'));
  const hosts = list(value('host'));
  const count = addresses.length || hosts.length || 1;
  if (count > SERVERS_MAX) throw invalidString(`Expected at most ${SERVERS_MAX} hosts, found ${count}.`);
  if (hosts.length > 0 && hosts.length !== count) {
    throw invalidString(`Expected as many hosts as addresses, found ${hosts.length} and ${count}.`);
  }
  const ports = list(value('port')).map(parsePort);
  if (ports.length > 1 && ports.length !== count) {
    throw invalidString(`Expected one port or one for each host, found ${ports.length} for ${count}.`);
  }
  const servers = Array.from({ length: count }, (_, index): ServerPlace => {
    const port = ports[ports.length === 1 ? 0 : index] ?? PORT_DEFAULT;
    const hostAddress = addresses[index] || undefined;
    if (hostAddress !== undefined && isIP(hostAddress) === 0) {
      throw invalidString('Expected numeric addresses as hostaddr; names belong into host.');
    }
    const host = hosts[index] || (hostAddress === undefined ? defaultHost(port) : '');
    return hostAddress === undefined ? { host, port } : { host, hostAddress, port };
  });
  return servers as [ServerPlace, ...ServerPlace[]];
}

function list(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split(',').map((entry) => entry.trim());
}

function parsePort(text: string): number {
  if (text === '') return PORT_DEFAULT;
  const port = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || port < 1 || port > 65535) {
    throw invalidString('Expected a port between 1 and 65535.');
  }
  return port;
}

function defaultHost(port: number): string {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`)) ?? 'localhost';
}

function readTls(
  value: Value,
  { variables, homeDirectory }: ConnectionEnvironment & { homeDirectory: string },
): { sslMode: SslMode; tls: TlsParts } {
  const rootCertificate = value('sslrootcert') || undefined;
  const fallback = rootCertificate === 'system' ? 'verify-full' : 'prefer';
  const sslMode = oneOf(
    'sslmode',
    value('sslmode') ?? (variables.PGREQUIRESSL?.startsWith('1') ? 'require' : fallback),
    SSL_MODES,
  );
  if (rootCertificate === 'system' && sslMode !== 'verify-full') {
    throw invalidString(
      `sslmode is "${sslMode}" with sslrootcert=system, where only verify-full proves anything.`,
      'Use sslmode=verify-full, or name a file of your own authority as sslrootcert.',
    );
  }
  const negotiation = oneOf('sslnegotiation', value('sslnegotiation') ?? 'postgres', ['postgres', 'direct']);
  if (negotiation === 'direct' && !/^(require|verify-.*)$/.test(sslMode)) {
    throw invalidString(
      `sslmode is "${sslMode}" with sslnegotiation=direct, which leaves no way back to a connection without TLS.`,
      'Use sslmode=require, verify-ca or verify-full.',
    );
  }
  const versionMin = tlsVersion('ssl_min_protocol_version', value('ssl_min_protocol_version'));
  const versionMax = tlsVersion('ssl_max_protocol_version', value('ssl_max_protocol_version'));
  if (versionMax !== undefined && TLS_VERSIONS.indexOf(versionMin ?? 'TLSv1.2') > TLS_VERSIONS.indexOf(versionMax)) {
    throw invalidString(`The lowest version of TLS, ${versionMin ?? 'TLSv1.2'}, is above the highest, ${versionMax}.`);
  }
  const certificateMode = oneOf('sslcertmode', value('sslcertmode') ?? 'allow', ['disable', 'allow', 'require']);
  if (certificateMode === 'require') {
    throw unsupportedString(
      'sslcertmode=require is not supported: Node.js does not tell whether the server asked for a certificate.',
      'Leave it out, and let pg_hba.conf demand the certificate (clientcert=verify-full).',
    );
  }
  return {
    sslMode,
    tls: {
      rootCertificate,
      certificate: value('sslcert') || undefined,
      key: value('sslkey') || undefined,
      keyPassword: value('sslpassword') || undefined,
      revocationList: value('sslcrl') || undefined,
      revocationDirectory: value('sslcrldir') || undefined,
      defaultDirectory: `${homeDirectory}/.postgresql`,
      certificateMode,
      negotiation,
      sendsName: oneOf('sslsni', value('sslsni') ?? '1', ['0', '1']) === '1',
      versionMin,
      versionMax,
    },
  };
}

function tlsVersion(name: string, text: string | undefined) {
  return text === undefined || text === '' ? undefined : oneOf(name, text, TLS_VERSIONS);
}

/** What would be a promise that nobody keeps. Errors: PG_CONNECTION_STRING_UNSUPPORTED. */
function refuseUnsupported(value: Value, servers: readonly ServerPlace[]): void {
  if (oneOf('gssencmode', value('gssencmode') ?? 'prefer', ['disable', 'prefer', 'require']) === 'require') {
    throw unsupportedString(
      'gssencmode=require is not supported: GSSAPI is not spoken.',
      'Use TLS: sslmode=verify-full.',
    );
  }
  if (oneOf('gssdelegation', value('gssdelegation') ?? '0', ['0', '1']) === '1') {
    throw unsupportedString('gssdelegation=1 is not supported: GSSAPI is not spoken.', 'Leave it out.');
  }
  const versions = ['3.0', '3.2', 'latest'] as const;
  oneOf('max_protocol_version', value('max_protocol_version') ?? '3.0', versions);
  if (oneOf('min_protocol_version', value('min_protocol_version') ?? '3.0', versions) !== '3.0') {
    throw unsupportedString('Only version 3.0 of the protocol is spoken.', 'Leave min_protocol_version out.');
  }
  const hasSocket = servers.some(({ host, hostAddress }) => hostAddress === undefined && /^[/@]/.test(host));
  if (value('requirepeer') && hasSocket) {
    throw unsupportedString(
      'requirepeer is not supported: Node.js does not tell which user is at the other end of a socket.',
      'Put the socket into a directory that only the server’s user may write to, or use TLS with verify-full.',
    );
  }
}

function readKeepalive(value: Value): Keepalive {
  const seconds = (name: ParameterName) => {
    const count = wholeNumber(name, value(name));
    return count === undefined || count <= 0 ? undefined : count * 1000;
  };
  const count = wholeNumber('keepalives_count', value('keepalives_count'));
  return {
    isOn: (wholeNumber('keepalives', value('keepalives')) ?? 1) !== 0,
    idleMs: seconds('keepalives_idle'),
    intervalMs: seconds('keepalives_interval'),
    count: count === undefined || count <= 0 ? undefined : count,
  };
}

/** Milliseconds; 0 or less means no limit for libpq, and the longest one here. */
function readTimeout(value: Value): number {
  const seconds = wholeNumber('connect_timeout', value('connect_timeout')) ?? CONNECT_TIMEOUT_SECONDS_DEFAULT;
  if (seconds <= 0) return CONNECT_TIMEOUT_SECONDS_MAX * 1000;
  return Math.min(Math.max(seconds, CONNECT_TIMEOUT_SECONDS_MIN), CONNECT_TIMEOUT_SECONDS_MAX) * 1000;
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\s*[+-]?[0-9]{1,10}\s*$/.test(text)) throw invalidString(`Expected a whole number as ${name}.`);
  return Number(text);
}

function oneOf<const Allowed extends string>(name: string, text: string, allowed: readonly Allowed[]): Allowed {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw invalidString(`Expected ${name} to be one of ${allowed.join(', ')}.`);
  return found;
}
