import type { Random } from './seeded-random.ts';

/** What goes wrong with a request on its way to a store or back. What was not carried out did not reach the server as a whole. */
export const httpFaultKinds = [
  // Not carried out.
  'internal-error', // 500 as S3 and Azure put it
  'slow-down', // 503 as S3 and Azure put it
  'gateway-error', // 502 with a page for people, as a balancer in front of a store gives it
  'clock-refused', // 403 because the client's clock is said to be wrong
  'no-answer', // silence, and the end of the connection at last
  'reset-before', // the connection is reset before the server hears anything
  'reset-amid-request', // half of the body reaches the server
  'flipped-request-bit', // one bit of the body reaches the server otherwise; it is to refuse that
  // Carried out.
  'lost-answer', // the connection is reset instead of the answer
  'error-after', // 500 instead of the answer
  'late-request', // the connection is reset, and only later the server carries the request out
  'reset-amid-answer', // half of the answer's body, and a reset
  'truncated-answer', // half of the answer's body, and an orderly end of the connection
  'shortened-answer', // half of the answer's body, with a length that says so
  'flipped-answer-bit', // one bit of the answer's body is otherwise
  'wrong-checksum', // the checksums in the head of the answer are others
  'skewed-clock', // the date of the answer is hours away
  'stale-listing', // an older answer to the same question for names is given again
] as const;

export type HttpFaultKind = (typeof httpFaultKinds)[number];

/** A request as whoever decides on its fault sees it. */
export interface FaultRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly url: string;
  /** Announced; 0 for none. */
  readonly bodyBytes: number;
  /** Asks which names there are. */
  readonly isListing: boolean;
}

/** Decides for each request; null lets it pass. */
export type HttpFaults = (request: FaultRequest) => HttpFaultKind | null;

const NEEDS_BODY: ReadonlySet<HttpFaultKind> = new Set(['reset-amid-request', 'flipped-request-bit']);

/** One request in `oneIn` meets one of the kinds that can happen to it. The same seed draws the same for the same order of requests. */
export function randomFaults(
  random: Random,
  oneIn: number,
  kinds: readonly HttpFaultKind[] = httpFaultKinds,
): HttpFaults {
  return (request) => {
    if (random.below(oneIn) !== 0) return null;
    const possible = kinds.filter(
      (kind) =>
        (!NEEDS_BODY.has(kind) || request.bodyBytes > 0) &&
        (kind !== 'stale-listing' || request.isListing) &&
        // To look at a name or to delete it has an answer without a body, and a put as well.
        (!/answer-bit|truncated|shortened|amid-answer/.test(kind) || request.method === 'GET'),
    );
    return possible.length === 0 ? null : random.pick(possible);
  };
}

/** The kind happens to the n-th request (from 1) that `matches`, counted from now; to every one when `nth` is missing. */
export function plannedFault(
  kind: HttpFaultKind,
  matches: (request: FaultRequest) => boolean,
  nth?: number,
): HttpFaults {
  let seen = 0;
  return (request) => {
    if (!matches(request)) return null;
    seen += 1;
    return nth === undefined || seen === nth ? kind : null;
  };
}

/** An answer of a store that is not well, in the words of both S3 and Azure. */
export interface MadeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

function inWords(status: number, s3Code: string, azureCode: string): MadeAnswer {
  const message = 'planned by the test';
  return {
    status,
    headers: { 'content-type': 'application/xml', 'x-ms-error-code': azureCode },
    body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${s3Code}</Code><Message>${message}</Message></Error>`,
  };
}

/** What the store is made to say instead of an answer; other kinds have none. */
export const madeAnswers: Readonly<Partial<Record<HttpFaultKind, MadeAnswer>>> = {
  'internal-error': inWords(500, 'InternalError', 'InternalError'),
  'error-after': inWords(500, 'InternalError', 'InternalError'),
  'slow-down': inWords(503, 'SlowDown', 'ServerBusy'),
  'clock-refused': inWords(403, 'RequestTimeTooSkewed', 'AuthenticationFailed'),
  'gateway-error': {
    status: 502,
    headers: { 'content-type': 'text/html' },
    body: '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>',
  },
};
