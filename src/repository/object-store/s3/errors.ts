import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { isDistrust, isPlain } from '../distrust.ts';
import { firstLineOf, ofAll, type RemoteTrouble, remoteErrorOf, troubleOfStatus } from '../remote-error.ts';

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
 * `action` completes "could not …"; with `isOfLock` the request was about a lock, and what a server calls invalid then is the lock. The cause
 * that is kept has the words of the server only: the SDK's own errors hold the request, and with it a session token.
 * Source: Amazon S3 API Reference, "Error responses"; the codes of Ceph (rgw_common.cc) and MinIO (cmd/api-errors.go) where they differ.
 */
export function s3ErrorOf(
  error: unknown,
  action: string,
  place: AskedPlace,
  asked: { isOfLock?: boolean } = {},
): Error {
  if (error instanceof HoldfastError || !(error instanceof Error)) return error as Error;
  // A broken invariant, or a fault in a program, is no answer of anybody; what fails while an answer is read is one that makes no sense.
  const isOfProgram = ['AssertionFailed', 'TypeError', 'RangeError', 'ReferenceError'].includes(error.name);
  if (isOfProgram && !('$response' in error)) return error;
  const answer = answerOf(error);
  const trouble = asked.isOfLock === true && answer.name === 'InvalidRequest' ? 'lock' : troubleOf(answer);
  return remoteErrorOf(trouble, {
    ...{ action, place: place.description },
    detail: detailOf(trouble, place, answer),
    hints: hintsOf(trouble, place, answer),
    cause: Object.assign(new Error(answer.message), { name: answer.name }),
  });
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

/** What a person does about it that is S3's own. */
function hintsOf(trouble: RemoteTrouble, place: AskedPlace, answer: Answer): string[] {
  switch (trouble) {
    case 'absent':
      return [
        `Check the name of the bucket "${place.bucket}", the endpoint and the account; holdfast makes no buckets.`,
        'docs/object-stores.md says how a bucket is made.',
      ];
    case 'region':
      return [`Write ?region=${answer.region ?? 'NAME'} behind the address.`];
    case 'denied':
      return ['Give the credentials the right; docs/object-stores.md has the policies that suffice.'];
    case 'credentials-rejected':
      return ['Check the access key and its secret, and that they belong to this endpoint.'];
    case 'credentials-expired':
      return ['Sign in again, or give the service credentials that renew themselves.'];
    case 'credentials-absent':
      return [
        'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or name credentials in the plan.',
        'A service whose role is given by the machine must be able to reach its metadata.',
      ];
    case 'full':
      return ['Raise the quota of the bucket or of its owner, or add space to the server.'];
    case 'lock':
      return [
        'Turn on Object Lock for the bucket; some servers can only do so when a bucket is made.',
        'Or take the lock out of the plan.',
      ];
    default:
      return [];
  }
}

function detailOf(trouble: RemoteTrouble, place: AskedPlace, { name, message, status, region }: Answer): string {
  const said = status === undefined ? name : `${status} ${name}`;
  const answer = `The answer was ${said}${message === '' ? '' : `: ${message}`}.`;
  if (trouble !== 'region') return answer;
  if (isRegionUnnamed(message)) return 'Expected a region in the address, in AWS_REGION or in the profile, found none.';
  const expected = place.region === undefined ? 'the region of the environment' : `region "${place.region}"`;
  return `Expected the bucket in ${expected}, ${region === undefined ? 'which the server denies' : `found it in "${region}"`}. ${answer}`;
}

const byName: Readonly<Record<string, RemoteTrouble>> = {
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
  ...ofAll(
    'credentials-rejected',
    'InvalidAccessKeyId',
    'SignatureDoesNotMatch',
    'InvalidToken',
    'InvalidClientTokenId',
  ),
  ...ofAll('credentials-expired', 'ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestExpired'),
  ...ofAll('credentials-absent', 'CredentialsProviderError', 'TokenProviderError', 'ProviderError'),
  ...ofAll('clock', 'RequestTimeTooSkewed'),
  ...ofAll('full', 'QuotaExceeded', 'QuotaExceededException', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded'),
  ...ofAll('lock', 'ObjectLockConfigurationNotFoundError'),
  ...ofAll('slow', 'SlowDown', 'SlowDownRead', 'SlowDownWrite', 'Throttling', 'ThrottlingException', 'TooManyRequests'),
  ...ofAll('slow', 'TooManyRequestsException', 'RequestLimitExceeded', 'BandwidthLimitExceeded', 'RequestThrottled'),
  ...ofAll('altered', 'BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'IncompleteBody'),
  ...ofAll('closed', 'ECONNREFUSED'),
  ...ofAll('unavailable', 'TimeoutError', 'RequestTimeout', 'InternalError', 'ServiceUnavailable', 'OperationAborted'),
  ...ofAll('unavailable', 'ConditionalRequestConflict', 'TemporaryRedirect', 'ConcurrentModification'),
};

function troubleOf({ name, message, status }: Answer): RemoteTrouble {
  if (isDistrust(name)) return 'distrust';
  if (isPlain(name, message)) return 'plain';
  if (name === 'CredentialsProviderError' && /expired/i.test(message)) return 'credentials-expired';
  if (name === 'InvalidRequest' && /object ?lock|lock configuration/i.test(message)) return 'lock';
  if (isRegionUnnamed(message)) return 'region';
  const known = Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (known !== undefined) return known;
  if (name === 'NotImplemented' || status === 501) return 'failed';
  return status === 301 ? 'region' : troubleOfStatus(status);
}

/** The SDK's own words, before anything is sent. */
function isRegionUnnamed(message: string): boolean {
  return message.startsWith('Region is missing');
}

/** The SDK's errors differ by where they arose: the server's, the system's, and those of looking for credentials. */
function answerOf(error: Error): Answer {
  const { $response, Region } = error as { $response?: { headers?: Record<string, string> }; Region?: string };
  const message = firstLineOf(error);
  const status = statusOf(error);
  return {
    name: status === undefined ? (codeOf(error) ?? error.name) : s3CodeOf(error),
    // What the SDK calls unknown had no words.
    message: message === 'UnknownError' ? '' : message,
    status,
    region: Region ?? $response?.headers?.['x-amz-bucket-region'] ?? /expecting '([a-z0-9-]+)'/.exec(message)?.[1],
  };
}
