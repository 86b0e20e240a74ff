import { HoldfastError } from '../../lib/index.ts';
import { PostgresError } from '../postgres-error.ts';
import type { ConnectionTarget } from './target.ts';

/** The same error with another sentence behind its detail. */
export function addDetail(error: HoldfastError, sentence: string): HoldfastError {
  if (error instanceof PostgresError) return error.withDetail(sentence);
  const { code, message, detail = '', hints, retryable, cause } = error;
  return new HoldfastError(code, message, { detail: `${detail} ${sentence}`.trim(), hints, retryable, cause });
}

/** What an error says, as whole sentences for the detail of another one. */
export function tell(error: HoldfastError): string {
  const message = `${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.`;
  return error.detail === undefined ? message : `${message} ${error.detail}`;
}

/** One error for all that was tried in vain. With one attempt it is that attempt's own. */
export function allFailed(target: ConnectionTarget, failures: readonly HoldfastError[]): HoldfastError {
  const [first, ...others] = failures as [HoldfastError, ...HoldfastError[]];
  if (others.length === 0) return first;
  const isSame = others.every(({ code }) => code === first.code);
  const what = target.servers.length === 1 ? target.place : `any of the ${target.place}`;
  return new HoldfastError(isSame ? first.code : 'PG_NO_SERVER_FOUND', `could not connect to ${what}`, {
    detail: failures.map(tell).join(' '),
    hints: [...new Set(failures.flatMap(({ hints }) => hints))],
    retryable: failures.some(({ retryable }) => retryable),
    cause: failures.at(-1),
  });
}
