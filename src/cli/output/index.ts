/**
 * How results, errors and progress are shown: text for people, JSON for programs.
 *
 * It prints nothing by itself and knows no engine; `cli/run-command.ts` decides which form goes to which stream.
 */
export { errorDocument, formatError, formatTraces } from './error-text.ts';
export type { Json, Outcome } from './outcome.ts';
export { type Paint, paintFor, plainPaint } from './paint.ts';
export { barDisplay, eventDisplay, lineDisplay, type ProgressDisplay } from './progress-display.ts';
export { Redaction } from './redaction.ts';
export { type Column, formatFacts, formatTable } from './table.ts';
export { formatAge, isoTime, paintLevel, paintLock, quoteForShell, shortId } from './words.ts';
