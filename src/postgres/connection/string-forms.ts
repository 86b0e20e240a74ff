import { invalidString } from './invalid-string.ts';

const URI_HINT =
  'Write postgresql://user:password@host:5432/database and percent-encode @, :, / and % inside the user or password.';

/**
 * Takes a connection string apart into parameters by libpq's names; a value that was given as empty stays so. A `dbname` that is itself
 * a connection string is opened up once: what it says counts over what stood before it.
 *
 * Errors: PG_CONNECTION_STRING_INVALID.
 * Source: PostgreSQL manual, "Connection Strings".
 */
export function readStringForms(text: string): Map<string, string> {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme === 'postgres' || scheme === 'postgresql') return parseUri(text);
  if (scheme !== undefined) {
    throw invalidString(`Expected an address that begins with "postgresql://", found "${scheme}://".`, URI_HINT);
  }
  const values = new Map<string, string>();
  for (const [name, value] of parseKeyValue(text)) {
    if (name === 'dbname' && isConnectionString(value)) {
      for (const [inner, innerValue] of readInner(value)) set(values, inner, innerValue);
    } else {
      set(values, name, value);
    }
  }
  return values;
}

function isConnectionString(value: string): boolean {
  return /^postgres(ql)?:\/\//.test(value) || value.includes('=');
}

/** The name of a database inside is only that. */
function readInner(value: string): Iterable<readonly [string, string]> {
  return /^postgres(ql)?:\/\//.test(value) ? parseUri(value) : parseKeyValue(value);
}

/**
 * Shape: scheme '://' [user [':' password] '@'] [host [':' port] {',' host [':' port]}] ['/' database] ['?' name '=' value ['&' …]].
 * An IPv6 address stands in brackets; each part may be percent-encoded.
 */
function parseUri(text: string): Map<string, string> {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(text);
  if (match === null) throw invalidString('The URI cannot be taken apart.', URI_HINT);
  const [, login, addresses = '', database, query] = match;
  // A raw '@' behind the host means that the password has a raw '@', '/' or '?', and that its rest would pass for a host or a name.
  const behind = login === undefined ? `${addresses}${database}${query}` : `${addresses}${database}`;
  if (behind.includes('@')) throw invalidString('There is an @ behind the host.', URI_HINT);
  const values = new Map<string, string>();
  const setPart = (name: string, encoded: string | undefined) => {
    if (encoded !== undefined && encoded !== '') set(values, name, decode(encoded, name));
  };
  if (login !== undefined) {
    const colon = login.indexOf(':');
    setPart('user', colon < 0 ? login : login.slice(0, colon));
    if (colon >= 0) setPart('password', login.slice(colon + 1));
  }
  const places = addresses.split(',').map(splitAddress);
  // In a list of several an empty entry stands for the default.
  setPart('host', places.map(({ host }) => host).join(','));
  setPart('port', places.map(({ port }) => port).join(','));
  setPart('dbname', database);
  for (const pair of query?.split('&') ?? []) if (pair !== '') readPair(values, pair);
  return values;
}

function splitAddress(address: string): { host: string; port: string } {
  const parts = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]]*))(?::([^:]*))?$/.exec(address);
  if (parts === null) throw invalidString('The host and port of the URI cannot be read.', URI_HINT);
  return { host: parts[1] ?? parts[2] ?? '', port: parts[3] ?? '' };
}

function readPair(values: Map<string, string>, pair: string): void {
  const [encodedName, encodedValue, more] = pair.split('=');
  if (encodedName === undefined || encodedName === '' || encodedValue === undefined || more !== undefined) {
    throw invalidString('A parameter of the URI has no name, no value or more than one.', URI_HINT);
  }
  const name = decode(encodedName, 'a parameter');
  const value = decode(encodedValue, 'a parameter');
  // As the drivers of Java write it.
  if (name === 'ssl' && value === 'true') set(values, 'sslmode', 'require');
  else set(values, name, value);
}

/** Shape: name '=' value, separated by white space; a value with spaces in single quotes; \' and \\ inside. */
function parseKeyValue(text: string): [string, string][] {
  const values: [string, string][] = [];
  const word = /\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?)/sy;
  let at = 0;
  while (text.slice(at).trim() !== '') {
    word.lastIndex = at;
    const match = word.exec(text);
    if (match === null) throw invalidString('Expected words of the form name=value.', URI_HINT);
    values.push([match[1] as string, (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gs, '$1')]);
    at = word.lastIndex;
  }
  return values;
}

/** The later of two counts, and the old name of a parameter stands for the new one. */
function set(values: Map<string, string>, name: string, value: string): void {
  if (name === 'requiressl') values.set('sslmode', value.startsWith('1') ? 'require' : 'prefer');
  else values.set(name, value);
}

/** A blank inside would be cut off by libpq; at the ends it takes them for a slip. */
function decode(encoded: string, name: string): string {
  let decoded: string;
  const trimmed = encoded.replaceAll(/^ +| +$/g, '');
  if (trimmed.includes(' ')) throw invalidString(`There is a blank in ${name}; write it as %20.`);
  try {
    decoded = decodeURIComponent(trimmed);
  } catch {
    throw invalidString(`The percent-encoding of ${name} is broken.`, URI_HINT);
  }
  if (decoded.includes('\0')) throw invalidString(`There is a zero byte in ${name}.`);
  return decoded;
}
