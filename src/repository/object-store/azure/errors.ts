import { codeOf, HoldfastError } from '../../../lib/index.ts';
import { isDistrust, isPlain } from '../distrust.ts';
import { firstLineOf, ofAll, type RemoteTrouble, remoteErrorOf, troubleOfStatus } from '../remote-error.ts';

/** What a server, or the way to it, answered instead of what was asked for. */
interface Answer {
  /** Azure's own code, such as `ContainerNotFound`, or that of the system. */
  readonly name: string;
  /** One line, without a full stop. */
  readonly message: string;
  readonly status: number | undefined;
  /** The server's time, in milliseconds since 1970, if the answer says so. */
  readonly date: number | undefined;
  /** What it says of a signature that it does not take; never repeated, as it quotes what was signed. */
  readonly reason: string;
}

/** What a message needs to know of the place that was asked. */
export interface AskedPlace {
  readonly account: string;
  readonly container: string;
  /** Such as `Azure "account/container"`; never a credential. */
  readonly description: string;
  /** Our time, in milliseconds since 1970. */
  readonly now: number;
  /** When the signature that we have ends, by its own words. */
  readonly expiresAt: number | undefined;
}

/** A request that is dated further off is refused. Source: Azure, "Authorize with Shared Key". */
const SKEW_MS_MAX = 15 * 60 * 1000;

/**
 * Says in the store's codes what an answer of Azure, or the lack of one, meant.
 *
 * `action` completes "could not …". The cause that is kept has the words of the server only: the SDK's own errors hold the request, and with
 * it a signature.
 * Source: Azure, "Common REST API error codes" and "Blob service error codes".
 */
export function azureErrorOf(error: unknown, action: string, place: AskedPlace): Error {
  if (error instanceof HoldfastError || !(error instanceof Error)) return error as Error;
  // A broken invariant of ours is no answer of anybody. The SDK's own TypeErrors and RangeErrors are: it throws them at an answer without sense.
  if (error.name === 'AssertionFailed') return error;
  const answer = answerOf(error);
  const trouble = troubleOf(answer, place);
  const said = answer.status === undefined ? answer.name : `${answer.status} ${answer.name}`;
  return remoteErrorOf(trouble, {
    ...{ action, place: place.description, hints: hintsOf(trouble, place) },
    detail: `The answer was ${said}${answer.message === '' ? '' : `: ${answer.message}`}.`,
    cause: Object.assign(new Error(answer.message), { name: answer.name }),
  });
}

/** The status of the HTTP answer, if there was one. */
export function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode;
}

/** Azure's code of an error; of an answer to HEAD, which has no body, from its head. */
export function azureCodeOf(error: unknown): string {
  const { details, code, response } = error as {
    details?: { errorCode?: string };
    code?: string;
    response?: { headers?: { get(name: string): string | undefined } };
  };
  return details?.errorCode ?? response?.headers?.get('x-ms-error-code') ?? code ?? '';
}

/** What a person does about it that is Azure's own. */
function hintsOf(trouble: RemoteTrouble, { account, container }: AskedPlace): string[] {
  switch (trouble) {
    case 'absent':
      return [
        `Check the names "${account}" and "${container}", and the endpoint; holdfast makes no containers.`,
        'docs/object-stores.md says how a container is made.',
      ];
    case 'denied':
      return ['Give them the right; docs/object-stores.md has the rights that suffice.'];
    case 'credentials-rejected':
      return [`Check the key or the signature, and that it is one of the account "${account}".`];
    case 'credentials-expired':
      return ['Make a new shared access signature.'];
    case 'full':
      return ['Ask for a higher limit of the account, or remove what is not needed any more.'];
    case 'unavailable':
      return [`Check the name of the account "${account}".`];
    default:
      return [];
  }
}

const byName: Readonly<Record<string, RemoteTrouble>> = {
  ...ofAll('absent', 'ContainerNotFound', 'ContainerBeingDeleted', 'ContainerDisabled'),
  ...ofAll('denied', 'AuthorizationPermissionMismatch', 'AuthorizationFailure', 'AuthorizationServiceMismatch'),
  ...ofAll('denied', 'AuthorizationResourceTypeMismatch', 'AuthorizationSourceIPMismatch', 'AccountIsDisabled'),
  ...ofAll('denied', 'AuthorizationProtocolMismatch', 'InsufficientAccountPermissions', 'UnauthorizedBlobOverwrite'),
  ...ofAll('denied', 'BlobImmutableDueToPolicy', 'BlobImmutableDueToLegalHold', 'KeyBasedAuthenticationNotPermitted'),
  ...ofAll('credentials-rejected', 'AuthenticationFailed', 'InvalidAuthenticationInfo', 'NoAuthenticationInformation'),
  ...ofAll('credentials-rejected', 'PublicAccessNotPermitted'),
  ...ofAll('slow', 'ServerBusy', 'TooManyRequests'),
  ...ofAll('altered', 'Md5Mismatch', 'Crc64Mismatch', 'InvalidMd5', 'IncompleteBody'),
  ...ofAll('closed', 'ECONNREFUSED'),
  ...ofAll('unavailable', 'InternalError', 'OperationTimedOut', 'AccountBeingCreated', 'AbortError'),
};

/** Azure's code for this one is that of a lack of rights, too. */
function isUnauthenticated({ name, message }: Answer): boolean {
  return name === 'AuthorizationFailure' && /failed to authenticate/i.test(message);
}

function troubleOf(answer: Answer, place: AskedPlace): RemoteTrouble {
  const { name, message, status, date, reason } = answer;
  if (isDistrust(name)) return 'distrust';
  if (isPlain(name, message)) return 'plain';
  const known = isUnauthenticated(answer)
    ? 'credentials-rejected'
    : Object.hasOwn(byName, name)
      ? byName[name]
      : undefined;
  if (known === 'credentials-rejected') {
    // One code stands for all that is wrong with a signature; the words and the dates tell which it is.
    if (/date header (is )?too old/i.test(reason)) return 'clock';
    if (date !== undefined && Math.abs(date - place.now) > SKEW_MS_MAX) return 'clock';
    if (place.expiresAt !== undefined && place.expiresAt <= (date ?? place.now)) return 'credentials-expired';
    if (/not valid in the specified time frame/i.test(reason)) return 'credentials-expired';
  }
  if (known !== undefined) return known;
  return /quota|capacity/i.test(name) ? 'full' : troubleOfStatus(status);
}

function answerOf(error: Error): Answer {
  const { response, details } = error as {
    response?: { headers?: { get(name: string): string | undefined } };
    details?: { authenticationErrorDetail?: string };
  };
  const status = statusOf(error);
  const date = Date.parse(response?.headers?.get('date') ?? '');
  return {
    name: status === undefined ? (codeOf(error) ?? error.name) : azureCodeOf(error),
    message: firstLineOf(error),
    reason: details?.authenticationErrorDetail ?? '',
    status,
    date: Number.isNaN(date) ? undefined : date,
  };
}
