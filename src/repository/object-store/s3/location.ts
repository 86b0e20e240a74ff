import { HoldfastError, parseBytes } from '../../../lib/index.ts';

/** What an address `s3://bucket/prefix?…` says. */
export interface S3Location {
  readonly bucket: string;
  /** Empty, or the start of every key, with its last slash. */
  readonly prefix: string;
  readonly region?: string;
  /** Without it the SDK's own: AWS. */
  readonly endpoint?: URL;
  readonly pathStyle: boolean;
  readonly caFile?: string;
  readonly proxy?: URL;
  readonly checksums: 'when-supported' | 'when-required';
  /** Bytes in a second, both ways together. */
  readonly maxRate?: number;
}

/** With 900 bytes of an object's name it fits into the 1,024 bytes of a key. */
const PREFIX_BYTES_MAX = 120;

/** Less would not move 64 pieces at once before a connection counts as dead. */
const RATE_MIN = 64 * 1024;

/** As wide as any server's rule; the server says what is wrong with a bucket's name that it does not like. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;

type Parameters = Partial<Omit<S3Location, 'bucket' | 'prefix'>>;

type ParameterName = 'region' | 'endpoint' | 'pathStyle' | 'caFile' | 'proxy' | 'checksums' | 'maxRate';

/** Each reads one parameter; `null` for a value that it cannot have. */
const readers: Readonly<Record<ParameterName, (value: string) => Parameters | null>> = {
  region: (value) => (/^[a-z0-9-]{1,64}$/i.test(value) ? { region: value } : null),
  endpoint: (value) => {
    const endpoint = readUrl(value);
    return endpoint === null ? null : { endpoint };
  },
  pathStyle: (value) => (['true', 'false'].includes(value) ? { pathStyle: value === 'true' } : null),
  caFile: (value) => (value === '' ? null : { caFile: value }),
  proxy: (value) => {
    const proxy = readUrl(value);
    return proxy === null ? null : { proxy };
  },
  checksums: (value) => (value === 'when-supported' || value === 'when-required' ? { checksums: value } : null),
  maxRate: (value) => {
    const maxRate = readRate(value);
    return maxRate === null ? null : { maxRate };
  },
};

const expected: Readonly<Record<ParameterName, string>> = {
  region: 'the name of a region, such as eu-central-1',
  endpoint: 'an address such as https://s3.example.net, without a path and without credentials',
  pathStyle: 'true or false',
  caFile: 'the path of a file with certificates (PEM)',
  proxy: 'an address such as http://proxy.example.net:3128, without credentials',
  checksums: 'when-supported or when-required',
  maxRate: `bytes in a second, such as 50MiB, at least ${RATE_MIN / 1024}KiB`,
};

/**
 * Reads `s3://bucket/prefix?region=…&endpoint=…&pathStyle=…&caFile=…&proxy=…&checksums=…&maxRate=…`.
 *
 * Path style (the bucket in the path instead of the host's name) is the default wherever an endpoint is named, as most such servers have no
 * host name for each bucket.
 * Errors: `STORE_LOCATION_INVALID`. No value of the address is repeated, as one may be a credential.
 */
export function parseS3Location(location: string): S3Location {
  const url = URL.canParse(location) ? new URL(location) : null;
  if (url === null || url.protocol !== 's3:') throw invalid('it is no address', 'Expected s3://bucket/prefix.');
  if (url.username !== '' || url.password !== '') throw holdsCredential();
  if (url.port !== '' || !BUCKET.test(url.hostname)) {
    throw invalid('its bucket is not named', 'Expected s3:// followed by the name of a bucket.');
  }
  if (url.hash !== '') throw invalid('it has a fragment', 'Expected no "#"; write %23 where a name has one.');
  const prefix = readPrefix(url.pathname);
  const parameters = readParameters(url.searchParams);
  return {
    checksums: 'when-supported',
    pathStyle: parameters.endpoint !== undefined,
    ...parameters,
    bucket: url.hostname,
    prefix,
  };
}

function readParameters(given: URLSearchParams): Parameters {
  let read: Parameters = {};
  const seen = new Set<string>();
  for (const [name, value] of given) {
    if (/secret|password|token|key/i.test(name)) throw holdsCredential();
    const reader = Object.hasOwn(readers, name) ? readers[name as ParameterName] : null;
    if (reader === null) {
      throw invalid(
        `its parameter "${name.slice(0, 40)}" is not recognized`,
        `Expected one of ${Object.keys(readers).join(', ')}.`,
      );
    }
    const result = reader(value);
    if (result === null || seen.has(name)) {
      const rule = `Expected ${expected[name as ParameterName]}`;
      throw invalid(`its parameter "${name}" is invalid`, seen.has(name) ? `${rule}, once.` : `${rule}.`);
    }
    seen.add(name);
    read = { ...read, ...result };
  }
  return read;
}

function readPrefix(pathname: string): string {
  const parts = pathname.replace(/^\//, '').replace(/\/$/, '').split('/').map(decode);
  if (parts.length === 1 && parts[0] === '') return '';
  const isSound = parts.every((part) => part !== null && /^[A-Za-z0-9._-]+$/.test(part) && !/^\.\.?$/.test(part));
  const prefix = `${parts.join('/')}/`;
  if (isSound && prefix.length <= PREFIX_BYTES_MAX) return prefix;
  throw invalid(
    'its prefix is invalid',
    `Expected parts of letters, digits, ".", "_" and "-" with "/" between them, ${PREFIX_BYTES_MAX - 1} characters at most.`,
  );
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    // A lone "%": the caller says what a prefix may have.
    return null;
  }
}

function readUrl(value: string): URL | null {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return null;
  if (url.username !== '' || url.password !== '') throw holdsCredential();
  return url.pathname === '/' && url.search === '' && url.hash === '' ? url : null;
}

function readRate(value: string): number | null {
  try {
    const rate = parseBytes(value);
    return rate >= RATE_MIN ? rate : null;
  } catch {
    // The error says less than ours, which names the parameter.
    return null;
  }
}

function holdsCredential(): HoldfastError {
  return new HoldfastError(
    'STORE_LOCATION_INVALID',
    'cannot use the address of a repository: it has a credential in it',
    {
      detail: 'An address is shown in messages, lists and logs, so that whatever stands in it is known to many.',
      hints: [
        'Take it out of the address: put it into the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), a profile, or name it in the plan.',
        'Replace the credential if this command line was seen by others.',
      ],
    },
  );
}

function invalid(what: string, detail: string): HoldfastError {
  return new HoldfastError('STORE_LOCATION_INVALID', `cannot use the address of a repository in S3: ${what}`, {
    detail,
    hints: ['Write for example s3://bucket/prefix?region=eu-central-1; docs/object-stores.md has every parameter.'],
  });
}
