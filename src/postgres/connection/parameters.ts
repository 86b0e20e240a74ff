import { unsupportedString } from './invalid-string.ts';

/** Parameters that are used, each with the environment variable that stands in for it. */
export const PARAMETERS = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  service: 'PGSERVICE',
  require_auth: 'PGREQUIREAUTH',
  channel_binding: 'PGCHANNELBINDING',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  options: 'PGOPTIONS',
  application_name: 'PGAPPNAME',
  fallback_application_name: undefined,
  keepalives: undefined,
  keepalives_idle: undefined,
  keepalives_interval: undefined,
  keepalives_count: undefined,
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslpassword: undefined,
  sslcertmode: 'PGSSLCERTMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcrl: 'PGSSLCRL',
  sslcrldir: 'PGSSLCRLDIR',
  sslsni: 'PGSSLSNI',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  gssencmode: 'PGGSSENCMODE',
  gssdelegation: 'PGGSSDELEGATION',
  min_protocol_version: 'PGMINPROTOCOLVERSION',
  max_protocol_version: 'PGMAXPROTOCOLVERSION',
  requirepeer: 'PGREQUIREPEER',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
} as const;

export type ParameterName = keyof typeof PARAMETERS;

/** Parameters of libpq that change nothing here, each with the reason. They are said where they were given. */
const LIBPQ_WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  tcp_user_timeout:
    'Node.js cannot set it; keepalives_idle, keepalives_interval and keepalives_count find a dead link too',
  client_encoding: 'everything is read as UTF-8',
  replication: 'each command opens the kind of connection that it needs',
  krbsrvname: 'Kerberos is not spoken, and a server that asks for it is refused',
  gsslib: 'GSSAPI is not spoken, and a server that asks for it is refused',
  sslcompression: 'no server of today compresses',
};

/** Values of theirs that mean what is done anyway. */
const HARMLESS_VALUES: Readonly<Record<string, RegExp>> = {
  tcp_user_timeout: /^0$/,
  client_encoding: /^(auto|utf-?8)$/i,
  replication: /^(false|off|no|0)$/i,
  sslcompression: /^0$/,
};

/** Parameters of libpq that would be wrong to leave out of account, each with what to do instead. */
const LIBPQ_REFUSED: Readonly<Record<string, string>> = {
  oauth_issuer: 'Let pg_hba.conf ask this user for scram-sha-256 or a client certificate.',
  oauth_client_id: 'Let pg_hba.conf ask this user for scram-sha-256 or a client certificate.',
  oauth_client_secret: 'Let pg_hba.conf ask this user for scram-sha-256 or a client certificate.',
  oauth_scope: 'Let pg_hba.conf ask this user for scram-sha-256 or a client certificate.',
  scram_client_key: 'Give the password itself, in a password file.',
  scram_server_key: 'Give the password itself, in a password file.',
  sslkeylogfile: 'Leave it out: session keys are not written anywhere.',
};

/** What poolers, mappers and drivers put into a `DATABASE_URL` that is shared with the application; no business of ours. */
const OF_APPLICATIONS = new Set([
  'connection_limit',
  'pgbouncer',
  'pool_timeout',
  'schema',
  'socket_timeout',
  'statement_cache_size',
  'uselibpqcompat',
]);

/** Whether a name may stand in a connection string. */
export function isParameter(name: string): boolean {
  return name in PARAMETERS || name in LIBPQ_WITHOUT_EFFECT || name in LIBPQ_REFUSED || OF_APPLICATIONS.has(name);
}

/** Refuses what cannot be honoured, and names what has no effect. Errors: PG_CONNECTION_STRING_UNSUPPORTED. */
export function sortOut(given: ReadonlyMap<string, string>): string[] {
  const withoutEffect: string[] = [];
  for (const [name, value] of given) {
    const instead = LIBPQ_REFUSED[name];
    if (instead !== undefined && value !== '')
      throw unsupportedString(`The parameter "${name}" is not supported.`, instead);
    const why = LIBPQ_WITHOUT_EFFECT[name];
    if (why !== undefined && value !== '' && HARMLESS_VALUES[name]?.test(value) !== true) {
      withoutEffect.push(`${name}: ${why}`);
    }
  }
  return withoutEffect;
}
