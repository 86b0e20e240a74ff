import { HoldfastError, messageOf } from '../../lib/index.ts';
import type { Json } from './outcome.ts';
import type { Paint } from './paint.ts';

/** An error for people: what happened, expected and found, what to do. Never a stack trace. */
export function formatError(error: unknown, paint: Paint): string[] {
  const shown = asShown(error);
  return [
    `${paint.bad('error:')} ${paint.strong(shown.message)}`,
    ...(shown.detail?.split('\n') ?? []).map((line) => `  ${line}`),
    ...shown.hints.map((hint) => `  ${paint.accent('hint:')} ${hint}`),
  ];
}

/** The same for programs, as the last line of `--json`. */
export function errorDocument(error: unknown): { readonly error: Json } {
  const { code, message, detail, hints, retryable } = asShown(error);
  return { error: { code, message, detail: detail ?? null, hints, retryable } };
}

/** What was thrown without being meant for people is a fault of the program, and said to be one. */
function asShown(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError('UNEXPECTED', `unexpected failure: ${messageOf(error).split('\n')[0]}`, {
    hints: ['Run the command again with HOLDFAST_DEBUG=1 and report what it prints: this is a fault of the program.'],
  });
}

/** The whole chain of causes with stack traces, for HOLDFAST_DEBUG=1 only. */
export function formatTraces(error: unknown): string[] {
  const lines: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    lines.push(cause.stack ?? String(cause));
  return lines;
}
