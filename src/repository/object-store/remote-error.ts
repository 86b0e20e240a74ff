import { type ErrorParts, HoldfastError, messageOf } from '../../lib/index.ts';

/** What can be wrong with a store that is reached over a network, one for each thing that a person does about it. */
export type RemoteTrouble =
  | 'absent'
  | 'region'
  | 'denied'
  | 'credentials-absent'
  | 'credentials-expired'
  | 'credentials-rejected'
  | 'clock'
  | 'full'
  | 'lock'
  | 'slow'
  | 'distrust'
  | 'plain'
  | 'altered'
  | 'closed'
  | 'unavailable'
  | 'failed';

/** A part of a driver's table: all these codes of its servers are one trouble. */
export function ofAll(trouble: RemoteTrouble, ...names: string[]): Record<string, RemoteTrouble> {
  return Object.fromEntries(names.map((name) => [name, trouble]));
}

/** What the status of an answer alone says, where its server has no word for it that we know; there is none where nothing answered. */
export function troubleOfStatus(status: number | undefined): RemoteTrouble {
  if (status === 507) return 'full';
  if (status === 429 || status === 503) return 'slow';
  if (status === 401 || status === 403) return 'denied';
  // A success whose body cannot be read, and no status at all: what broke is the way, and the next answer may be whole.
  if (status === undefined || status >= 500 || status < 300) return 'unavailable';
  return 'failed';
}

/** The first line of what an SDK says, without a full stop. Of further lines nothing is repeated: they name the request. */
export function firstLineOf(error: Error): string {
  return messageOf(error).split('\n')[0]!.trim().replace(/\.$/, '');
}

/** What an error says besides. `action` completes "could not …"; `place` is the description of the store. */
export interface RemoteCircumstances {
  readonly action: string;
  readonly place: string;
  /** The answer, as a sentence. */
  readonly detail: string;
  /** What to do that only the driver knows; what holds for every store is said here. */
  readonly hints: readonly string[];
  readonly cause: unknown;
}

/** The error of one kind of trouble, in the store's codes: the same words for every driver. */
export function remoteErrorOf(
  trouble: RemoteTrouble,
  { action, place, detail, hints, cause }: RemoteCircumstances,
): HoldfastError {
  const said: ErrorParts = { detail, hints, cause };
  const mayPass: ErrorParts = { ...said, retryable: true };
  switch (trouble) {
    case 'absent':
      return new HoldfastError('STORE_ABSENT', `could not reach ${place}: it is not there`, said);
    case 'region':
      return new HoldfastError('STORE_REGION_WRONG', `cannot reach ${place}: the region is wrong`, said);
    case 'denied':
      return new HoldfastError('STORE_DENIED', `could not ${action}: the credentials lack the right`, {
        ...said,
        detail: `It was refused by ${place}. ${detail}`,
      });
    case 'credentials-absent':
      return new HoldfastError('STORE_CREDENTIALS_ABSENT', `cannot reach ${place}: no credentials were found`, said);
    case 'credentials-expired':
      return new HoldfastError(
        'STORE_CREDENTIALS_EXPIRED',
        `could not reach ${place}: its credentials have expired`,
        said,
      );
    case 'credentials-rejected':
      return new HoldfastError(
        'STORE_CREDENTIALS_REJECTED',
        `cannot reach ${place}: its credentials are not accepted`,
        said,
      );
    case 'clock':
      return new HoldfastError('STORE_CLOCK_SKEWED', `cannot reach ${place}: the clock of this host is wrong`, {
        ...said,
        detail: `Expected at most 15 minutes between this host and the server, found more. ${detail}`,
        hints: ['Set the clock, and keep it right with NTP (timedatectl shows it).'],
      });
    case 'full':
      return new HoldfastError('STORE_FULL', `could not ${action}: the space of ${place} is used up`, said);
    case 'lock':
      return new HoldfastError('STORE_LOCK_ABSENT', `cannot ${action}: ${place} does not lock objects`, said);
    case 'slow':
      return new HoldfastError('STORE_SLOW_DOWN', `could not ${action}: ${place} asks to slow down`, {
        ...mayPass,
        hints: ['Wait; if it stays so, limit the rate with maxRate in the address, or ask for more.'],
      });
    case 'distrust':
      return new HoldfastError('STORE_TLS_UNTRUSTED', `cannot reach ${place}: its certificate is not trusted`, {
        ...said,
        hints: [
          'Name the file of its certificate authority with caFile in the address, or in NODE_EXTRA_CA_CERTS.',
          'Check that the certificate is for the host of the endpoint and has not expired.',
        ],
      });
    case 'plain':
      return new HoldfastError('STORE_UNAVAILABLE', `cannot reach ${place}: what answers there does not speak TLS`, {
        ...said,
        hints: [
          'If the server has no TLS, write http:// in place of https:// in the endpoint; else name the port that has it.',
          'If there is a proxy between, check that it lets TLS through.',
        ],
      });
    case 'altered':
      return new HoldfastError('STORE_TRANSFER_DAMAGED', `could not ${action}: other bytes arrived than were sent`, {
        ...mayPass,
        hints: ['If it stays so, look for a proxy or a network card that alters bytes; nothing wrong was stored.'],
      });
    case 'closed':
      return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: nothing listens at ${place}`, {
        ...mayPass,
        hints: [
          ...hints,
          'Check host and port of the endpoint, and of the proxy if there is one; if they are right, start what should listen there.',
        ],
      });
    case 'unavailable':
      return new HoldfastError('STORE_UNAVAILABLE', `could not ${action}: ${place} does not answer as it should`, {
        ...mayPass,
        hints: [...hints, 'Wait; if it stays so, check the endpoint, the network and the proxy.'],
      });
    case 'failed':
      return new HoldfastError('STORE_FAILED', `could not ${action}`, said);
  }
}
