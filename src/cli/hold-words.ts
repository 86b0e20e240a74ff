import { hostname, userInfo } from 'node:os';
import { formatMoment, HoldfastError } from '../lib/index.ts';
import type { Hold, HoldScope } from '../repository/index.ts';
import type { Flag } from './command.ts';
import { type Json, shortId } from './output/index.ts';

const DAY_MS = 86_400_000;

export const whoFlag: Flag = { flag: '--who <name>', help: 'Who wants it; your user and this host when left out.' };

/** Whoever is at the keyboard, as far as the machine knows. */
export function ownName(): string {
  return `${userInfo().username}@${hostname()}`;
}

/**
 * Until when a hold is to last, in milliseconds since 1970: a date stands for the whole of that day, in UTC; a time needs its zone.
 *
 * Errors: `HOLD_UNTIL_INVALID`, also for what is over already.
 */
export function parseUntil(text: string, now: number): number {
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const isTime = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(text);
  const parsed = isDate || isTime ? Date.parse(text.replace(' ', 'T')) : Number.NaN;
  // February 30 would be taken for a day of March.
  const isReal = !isDate || (Number.isFinite(parsed) && new Date(parsed).toISOString().startsWith(text));
  if (!Number.isFinite(parsed) || !isReal) throw invalidUntil(text, 'Expected a date, or a time with its zone.');
  const until = isDate ? parsed + DAY_MS : parsed;
  if (until > now) return until;
  throw invalidUntil(text, `Expected a time that is still to come; now it is ${formatMoment(now)}.`);
}

function invalidUntil(text: string, detail: string): HoldfastError {
  return new HoldfastError('HOLD_UNTIL_INVALID', `invalid end of a hold "${text}"`, {
    detail,
    hints: ['Write for example 2033-12-31, which lasts to the end of that day in UTC, or 2033-12-31T18:00:00+01:00.'],
  });
}

/** What a hold keeps, in a few words. */
export function describeScope(scope: HoldScope): string {
  if (scope.kind === 'everything') return 'everything';
  if (scope.kind === 'cluster') return `cluster "${scope.cluster}"`;
  return scope.snapshots.map(shortId).join(', ');
}

/** A hold as the commands print it for programs. */
export function holdDocument(hold: Hold, inForce: boolean): { readonly [key: string]: Json } {
  const { id, at, who, why, until, purpose, scope, ended } = hold;
  return {
    ...{ hold: id, inForce, who, why, purpose },
    at: new Date(at).toISOString(),
    until: until === null ? null : new Date(until).toISOString(),
    scope: { ...scope },
    ended: ended === null ? null : { ...ended, at: new Date(ended.at).toISOString() },
  };
}
