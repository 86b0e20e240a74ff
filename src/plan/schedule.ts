import { z } from 'zod';
import { parseDuration } from '../lib/index.ts';
import { type CronLine, everComesUp, longestCronGapMs, parseCron } from './cron.ts';

/** When something is done. A line of cron is read in a time zone that stands beside it. */
export type Schedule =
  | { readonly kind: 'continuous'; readonly text: string }
  | { readonly kind: 'every'; readonly text: string; readonly intervalMs: number }
  | { readonly kind: 'cron'; readonly text: string; readonly line: CronLine };

const intervalMsMin = 60_000;
const intervalMsMax = 366 * 24 * 60 * 60 * 1000;

/**
 * Reads a schedule; `null` for a text that is none, and for one that never comes up.
 *
 * Shape: `continuous`, `every 15m` (from a minute to a year), or five fields of cron.
 */
export function parseSchedule(text: string): Schedule | null {
  if (text === 'continuous') return { kind: 'continuous', text };
  const every = /^every (\S+)$/.exec(text);
  if (every !== null) {
    const intervalMs = readInterval(every[1]!);
    if (intervalMs === null || intervalMs < intervalMsMin || intervalMs > intervalMsMax) return null;
    return { kind: 'every', text, intervalMs };
  }
  const line = parseCron(text);
  return line === null || !everComesUp(line) ? null : { kind: 'cron', text, line };
}

/** The longest time in milliseconds between two of its moments: 0 for one that never stops. The hour of a change of clocks is not counted. */
export function longestGapMs(schedule: Schedule): number {
  return longestCommonGapMs([{ when: schedule, timeZone: 'UTC' }]);
}

/**
 * The same of several together, of which there is at least one: how long none of them comes up. Of an interval nobody knows at which moments it does, so that it
 * counts by itself.
 */
export function longestCommonGapMs(timed: readonly { readonly when: Schedule; readonly timeZone: string }[]): number {
  const intervals = timed.flatMap(({ when }) => {
    if (when.kind === 'cron') return [];
    return when.kind === 'continuous' ? 0 : when.intervalMs;
  });
  const shortest = Math.min(...intervals);
  if (shortest === 0) return 0;
  const lines = timed.flatMap(({ when, timeZone }) =>
    when.kind === 'cron' ? { line: when.line, aheadMinutes: minutesAhead(timeZone) } : [],
  );
  return lines.length === 0 ? shortest : Math.min(shortest, longestCronGapMs(lines));
}

const anyWinter = Date.UTC(2026, 0, 1);

/** How far the clocks of a zone are ahead of UTC in January. */
function minutesAhead(timeZone: string): number {
  const words = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(anyWinter);
  const offset = words.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(offset) ?? [];
  return (sign === '-' ? -1 : 1) * (Number(hours ?? 0) * 60 + Number(minutes ?? 0));
}

/** For a schema; the reader's own words are replaced by the option's sentence on what is expected. */
export function toSchedule(text: string, context: z.core.$RefinementCtx<string>): Schedule {
  const schedule = parseSchedule(text);
  if (schedule !== null) return schedule;
  context.addIssue({ code: 'custom', message: 'unreadable' });
  return z.NEVER;
}

function readInterval(text: string): number | null {
  try {
    return parseDuration(text);
  } catch {
    return null;
  }
}
