import { codeOf, type ErrorParts, HoldfastError, messageOf } from '../../../lib/index.ts';
import { isDistrust } from '../distrust.ts';

/** What a server, or the way to it, answered instead of what was asked for. */
interface Answer {
  /** S3's own code, such as `NoSuchBucket`, or that of the system. */
  readonly name: string;
  /** One line, without a full stop. */
  readonly message: string;
  readonly status: number | undefined;
  /** Where the bucket is, if the answer says so. */
  readonly region: string | undefined;
}

/** What a message needs to know of the place that was asked. */
export interface AskedPlace {
  readonly bucket: string;
  /** Such as `S3 bucket "backups"`; never a credential. */
  readonly description: string;
  readonly region: string | undefined;
}

/**
 * Says in the store's codes what an answer of S3, or the lack of one, meant.
 *
 * `action` completes "could not …"; with `isOfLock` the request was about a lock, and what a server calls invalid then is the lock. The cause that is kept has the words of the server only: the SDK's own errors hold the request, and with
 * it a session token.
 * Source: Amazon S3 API Reference, "Error responses"; the codes of Ceph (rgw_common.cc) and MinIO (cmd/api-errors.go) where they differ.
 */
export function s3ErrorOf(
  error: unknown,
  action: string,
  place: AskedPlace,
  asked: { isOfLock?: boolean } = {},
): Error {
  if (error instanceof HoldfastError || !(error instanceof Error)) return error as Error;
  // A broken invariant of ours is no answer of anybody.
  if (error.name === 'AssertionFailed') return error;
  const answer = answerOf(error);
  const isLockMissing = asked.isOfLock === true && answer.name === 'InvalidRequest';
  const meaning = isLockMissing ? 'lock' : meaningOf(answer);
  const cause = Object.assign(new Error(answer.message), { name: answer.name });
  const said = answer.status === undefined ? answer.name : `${answer.status} ${answer.name}`;
  const detail = `The answer was ${said}${answer.message === '' ? '' : `: ${answer.message}`}.`;
  return errors[meaning](action, place, { detail, cause }, answer);
}

/** The status of the HTTP answer, if there was one. */
export function statusOf(error: unknown): number | undefined {
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode;
}

/** S3's code of an error. */
export function s3CodeOf(error: unknown): string {
  return error instanceof Error ? ((error as { Code?: string }).Code ?? error.name) : '';
}

type Meaning = keyof typeof errors;

/** Each makes the error of one meaning. */
const errors = {
  absent: (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_ABSENT', `could not reach ${place.description}: there is no such bucket`, {
      ...said,
      hints: [
        `Check the name "${place.bucket}", the endpoint and the account; holdfast makes no buckets.`,
        'docs/object-stores.md says how a bucket is made.',
      ],
    }),
  region: (_action: string, place: AskedPlace, said: ErrorParts, answer: Answer) =>
    new HoldfastError('STORE_REGION_WRONG', `cannot reach ${place.description}: it is in another region`, {
      ...said,
      detail: `Expected it in ${place.region === undefined ? 'the region of the environment' : `"${place.region}"`}, ${answer.region === undefined ? 'which the server denies' : `found it in "${answer.region}"`}. ${said.detail}`,
      hints: [`Write ?region=${answer.region ?? 'NAME'} behind the address.`],
    }),
  'region-unnamed': (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_REGION_WRONG', `cannot reach ${place.description}: no region is named`, {
      ...said,
      detail: 'Expected a region in the address, in AWS_REGION or in the profile, found none.',
      hints: ['Write ?region=NAME behind the address.'],
    }),
  denied: (action: string, _place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_DENIED', `could not ${action}: the credentials lack the right`, {
      ...said,
      hints: ['Give them the right; docs/object-stores.md has the policies that suffice.'],
    }),
  rejected: (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError(
      'STORE_CREDENTIALS_REJECTED',
      `cannot reach ${place.description}: its credentials are not accepted`,
      {
        ...said,
        hints: ['Check the access key and its secret, and that they belong to this endpoint.'],
      },
    ),
  expired: (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError(
      'STORE_CREDENTIALS_EXPIRED',
      `could not reach ${place.description}: its credentials have expired`,
      {
        ...said,
        hints: ['Sign in again, or give the service credentials that renew themselves.'],
      },
    ),
  'no-credentials': (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_CREDENTIALS_ABSENT', `cannot reach ${place.description}: no credentials were found`, {
      ...said,
      hints: [
        'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or name credentials in the plan.',
        'A service whose role is given by the machine must be able to reach its metadata.',
      ],
    }),
  clock: (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_CLOCK_SKEWED', `cannot reach ${place.description}: the clock of this host is wrong`, {
      ...said,
      detail: `Expected at most 15 minutes between this host and the server, found more. ${said.detail}`,
      hints: ['Set the clock, and keep it right with NTP (timedatectl shows it).'],
    }),
  full: (action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_FULL', `could not ${action}: the quota or the space of ${place.description} is used up`, {
      ...said,
      hints: ['Raise the quota of the bucket or of its owner, or add space to the server.'],
    }),
  lock: (action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_LOCK_ABSENT', `cannot ${action}: ${place.description} does not lock objects`, {
      ...said,
      hints: [
        'Turn on Object Lock for the bucket; some servers can only do so when a bucket is made.',
        'Or take the lock out of the plan.',
      ],
    }),
  slow: (action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_SLOW_DOWN', `could not ${action}: ${place.description} asks to slow down`, {
      ...said,
      retryable: true,
      hints: ['Wait; if it stays so, limit the rate with maxRate in the address, or ask for more.'],
    }),
  tls: (_action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_TLS_UNTRUSTED', `cannot reach ${place.description}: its certificate is not trusted`, {
      ...said,
      hints: [
        'Name the file of its certificate authority with caFile in the address, or in NODE_EXTRA_CA_CERTS.',
        'Check that the certificate is for the host of the endpoint and has not expired.',
      ],
    }),
  altered: (action: string, _place: AskedPlace, said: ErrorParts) =>
    new HoldfastError(
      'STORE_TRANSFER_DAMAGED',
      `could not ${action}: the bytes that arrived are not those that were sent`,
      {
        ...said,
        retryable: true,
        hints: ['If it stays so, look for a proxy or a network card that alters bytes; nothing wrong was stored.'],
      },
    ),
  unavailable: (action: string, place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: ${place.description} does not answer as it should`, {
      ...said,
      retryable: true,
      hints: ['Wait; if it stays so, check the endpoint, the network and the proxy.'],
    }),
  failed: (action: string, _place: AskedPlace, said: ErrorParts) =>
    new HoldfastError('STORE_FAILED', `could not ${action}`, said),
};

const byName: Readonly<Record<string, Meaning>> = {
  // A refusal without a code is no word about an object: whoever answers it may be no S3 server at all.
  ...ofAll('absent', 'NoSuchBucket', 'NotFound'),
  ...ofAll('region', 'PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'),
  ...ofAll(
    'denied',
    'AccessDenied',
    'Forbidden',
    'AllAccessDisabled',
    'AccountProblem',
    'NotSignedUp',
    'UserSuspended',
  ),
  ...ofAll('rejected', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidToken', 'InvalidClientTokenId'),
  ...ofAll('expired', 'ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestExpired'),
  ...ofAll('no-credentials', 'CredentialsProviderError', 'TokenProviderError', 'ProviderError'),
  ...ofAll('clock', 'RequestTimeTooSkewed'),
  ...ofAll('full', 'QuotaExceeded', 'QuotaExceededException', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded'),
  ...ofAll('lock', 'ObjectLockConfigurationNotFoundError'),
  ...ofAll('slow', 'SlowDown', 'SlowDownRead', 'SlowDownWrite', 'Throttling', 'ThrottlingException', 'TooManyRequests'),
  ...ofAll('slow', 'TooManyRequestsException', 'RequestLimitExceeded', 'BandwidthLimitExceeded', 'RequestThrottled'),
  ...ofAll('altered', 'BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'IncompleteBody'),
  ...ofAll('unavailable', 'TimeoutError', 'RequestTimeout', 'InternalError', 'ServiceUnavailable', 'OperationAborted'),
  ...ofAll('unavailable', 'ConditionalRequestConflict', 'TemporaryRedirect', 'ConcurrentModification'),
};

function ofAll(meaning: Meaning, ...names: string[]): Record<string, Meaning> {
  return Object.fromEntries(names.map((name) => [name, meaning]));
}

function meaningOf({ name, message, status }: Answer): Meaning {
  if (isDistrust(name)) return 'tls';
  if (name === 'CredentialsProviderError' && /expired/i.test(message)) return 'expired';
  if (name === 'InvalidRequest' && /object ?lock|lock configuration/i.test(message)) return 'lock';
  if (/^Region is missing/.test(message)) return 'region-unnamed';
  const known = Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (known !== undefined) return known;
  if (status === 507) return 'full';
  if (status === 429 || status === 503) return 'slow';
  if (status === 301) return 'region';
  if (status === 401 || status === 403) return 'denied';
  // A success whose body cannot be read, and no status at all: what broke is the way, and the next answer may be whole.
  if (status === undefined || status >= 500 || status < 300) return 'unavailable';
  return 'failed';
}

/** The SDK's errors differ by where they arose: the server's, the system's, and those of looking for credentials. */
function answerOf(error: Error): Answer {
  const { $response, Region } = error as { $response?: { headers?: Record<string, string> }; Region?: string };
  const message = messageOf(error).split('\n')[0]!.trim().replace(/\.$/, '');
  const status = statusOf(error);
  return {
    name: status === undefined ? (codeOf(error) ?? error.name) : s3CodeOf(error),
    // What the SDK calls unknown had no words.
    message: message === 'UnknownError' ? '' : message,
    status,
    region: Region ?? $response?.headers?.['x-amz-bucket-region'] ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1],
  };
}
