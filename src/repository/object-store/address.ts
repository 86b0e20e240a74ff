import { HoldfastError, parseBytes } from '../../lib/index.ts';

/** With 900 bytes of an object's name it fits into the 1,024 bytes that S3 and Azure allow. */
const PREFIX_BYTES_MAX = 120;

/** Less would not move 64 pieces at once before a connection counts as dead. */
const RATE_MIN = 64 * 1024;

/** How one parameter behind the "?" is read. */
export interface ParameterRule<Value> {
  /** `null` for a value that it cannot have. */
  readonly read: (value: string) => Value | null;
  readonly expected: string;
}

/** The addresses of one kind of store. */
export interface AddressRules<Parameters extends object> {
  readonly scheme: string;
  /** Completes "cannot use the address of a repository": `in S3`. */
  readonly where: string;
  /** What stands behind "://", and how it is called. */
  readonly host: RegExp;
  readonly hostNamed: string;
  readonly parameters: { readonly [Name in keyof Parameters]-?: ParameterRule<Exclude<Parameters[Name], undefined>> };
  readonly example: string;
  /** Where a credential belongs, as a hint for whoever has put one into the address. */
  readonly credentialHint: string;
}

/** The parts of an address; `path` without its first and last slash. */
export interface Address<Parameters> {
  readonly host: string;
  readonly path: readonly string[];
  readonly parameters: Partial<Parameters>;
}

/** The parameters that every store elsewhere has. */
export const commonParameters = {
  endpoint: {
    read: readUrl,
    expected: 'an address such as https://store.example.net, without credentials',
  },
  caFile: {
    read: (value: string) => (value === '' ? null : value),
    expected: 'the path of a file with certificates (PEM)',
  },
  proxy: {
    read: readOrigin,
    expected: 'an address such as http://proxy.example.net:3128, without credentials',
  },
  maxRate: {
    read: readRate,
    expected: `bytes in a second, such as 50MiB, at least ${RATE_MIN / 1024}KiB`,
  },
} as const satisfies Record<string, ParameterRule<unknown>>;

/**
 * Reads `scheme://host/part/part?parameter=value`.
 *
 * Errors: `STORE_LOCATION_INVALID`. No value of the address is repeated, as one may be a credential.
 */
export function readAddress<Parameters extends object>(
  location: string,
  rules: AddressRules<Parameters>,
): Address<Parameters> {
  const url = URL.canParse(location) ? new URL(location) : null;
  if (url === null || url.protocol !== `${rules.scheme}:`)
    throw invalidAddress(rules, 'it is no address', `Expected ${rules.example}.`);
  if (url.username !== '' || url.password !== '') throw holdsCredential(rules.credentialHint);
  if (url.port !== '' || !rules.host.test(url.hostname)) {
    const detail = `Expected ${rules.scheme}:// followed by the name of ${rules.hostNamed}.`;
    throw invalidAddress(rules, `it does not name ${rules.hostNamed}`, detail);
  }
  if (url.hash !== '')
    throw invalidAddress(rules, 'it has a fragment', 'Expected no "#"; write %23 where a name has one.');
  return { host: url.hostname, path: readPath(url.pathname, rules), parameters: readParameters(url, rules) };
}

/** The start of every object's key: empty, or the parts with a slash behind each. Errors: `STORE_LOCATION_INVALID`. */
export function prefixOf(parts: readonly string[], rules: AddressRules<object>): string {
  const prefix = parts.map((part) => `${part}/`).join('');
  if (prefix.length <= PREFIX_BYTES_MAX) return prefix;
  throw invalidAddress(rules, 'its prefix is too long', `Expected ${PREFIX_BYTES_MAX - 1} characters at most.`);
}

export function invalidAddress(
  rules: Pick<AddressRules<object>, 'where' | 'example'>,
  what: string,
  detail: string,
): HoldfastError {
  return new HoldfastError('STORE_LOCATION_INVALID', `cannot use the address of a repository ${rules.where}: ${what}`, {
    detail,
    hints: [`Write for example ${rules.example}; docs/object-stores.md has every parameter.`],
  });
}

/** An address of the web without credentials, without parameters; whatever stands in its path. */
function readUrl(value: string): URL | null {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return null;
  if (url.username !== '' || url.password !== '') throw holdsCredential();
  return url.search === '' && url.hash === '' ? url : null;
}

/** The same without a path. */
export function readOrigin(value: string): URL | null {
  const url = readUrl(value);
  return url?.pathname === '/' ? url : null;
}

function readPath(pathname: string, rules: AddressRules<object>): string[] {
  const path = pathname.replace(/^\//, '').replace(/\/$/, '');
  const parts = path === '' ? [] : path.split('/').map(decode);
  const isSound = (part: string | null): part is string =>
    part !== null && /^[A-Za-z0-9._-]+$/.test(part) && !/^\.\.?$/.test(part);
  if (parts.every(isSound)) return parts;
  throw invalidAddress(
    rules,
    'its prefix is invalid',
    'Expected parts of letters, digits, ".", "_" and "-" with "/" between them.',
  );
}

function readParameters<Parameters extends object>(
  { searchParams }: URL,
  rules: AddressRules<Parameters>,
): Partial<Parameters> {
  const read: Record<string, unknown> = {};
  for (const [name, value] of searchParams) {
    if (/secret|password|token|key|signature|^sig$|^s[a-z]$/i.test(name)) throw holdsCredential(rules.credentialHint);
    const rule = Object.hasOwn(rules.parameters, name) ? rules.parameters[name as keyof Parameters] : null;
    if (rule === null) {
      const known = `Expected one of ${Object.keys(rules.parameters).join(', ')}.`;
      throw invalidAddress(rules, `its parameter "${name.slice(0, 40)}" is not recognized`, known);
    }
    const result = rule.read(value);
    if (result === null)
      throw invalidAddress(
        rules,
        `its parameter "${name}" is invalid`,
        `Expected ${rule.expected}${foundIn(name, value)}.`,
      );
    if (Object.hasOwn(read, name)) {
      throw invalidAddress(rules, `its parameter "${name}" is invalid`, `Expected ${rule.expected}, once.`);
    }
    read[name] = result;
  }
  return read as Partial<Parameters>;
}

/** What may be said of a value that may hold a credential: that the scheme is forgotten, which is the commonest slip. */
function foundIn(name: string, value: string): string {
  const isHost = ['endpoint', 'proxy'].includes(name) && /^[A-Za-z0-9.-]+(:\d+)?\/?$/.test(value);
  return isHost ? ', found no http:// or https:// at its start' : '';
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    // A lone "%": the caller says what a prefix may have.
    return null;
  }
}

function readRate(value: string): number | null {
  try {
    const rate = parseBytes(value);
    return rate >= RATE_MIN ? rate : null;
  } catch {
    // The error says less than the caller's, which names the parameter.
    return null;
  }
}

function holdsCredential(
  hint = 'Take it out of the address, and name it in the plan or put it into the environment.',
): HoldfastError {
  return new HoldfastError(
    'STORE_LOCATION_INVALID',
    'cannot use the address of a repository: it has a credential in it',
    {
      detail: 'An address is shown in messages, lists and logs, so that whatever stands in it is known to many.',
      hints: [hint, 'Replace the credential if this command line was seen by others.'],
    },
  );
}
