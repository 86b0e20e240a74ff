import { HoldfastError } from '../lib/index.ts';
import { formatLsn, parseLsn } from './lsn.ts';

/** One earlier timeline of a history: WAL before `switchLsn` is `timeline`'s, WAL from there on is the next one's. */
export interface TimelineSwitch {
  readonly timeline: number;
  readonly switchLsn: bigint;
  readonly reason: string;
}

/** A history holds a line for each promotion; a cluster promoted more often than this is not believed. */
const HISTORY_LINES_MAX = 100_000;

/**
 * Reads a timeline history file, oldest timeline first.
 *
 * Shape:  a line for each ancestor: timeline (decimal) · whitespace · LSN of the switch · whitespace · reason. Empty lines and
 *         lines that begin with '#' mean nothing.
 * Errors: PG_TIMELINE_HISTORY_INVALID when a line cannot be read or timelines do not rise.
 * Source: PostgreSQL, timeline.c, readTimeLineHistory.
 */
export function parseTimelineHistory(text: string): TimelineSwitch[] {
  const switches: TimelineSwitch[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const content = line.trim();
    if (content === '' || content.startsWith('#')) continue;
    if (switches.length >= HISTORY_LINES_MAX)
      throw invalidHistory(index, `Expected at most ${HISTORY_LINES_MAX} timelines.`);
    const match = /^([0-9]{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s+(.*))?$/.exec(content);
    if (match === null) throw invalidHistory(index, 'Expected a timeline, an LSN and a reason.');
    const timeline = Number(match[1]);
    const previous = switches.at(-1);
    if (timeline < 1 || timeline > 0xffffffff) throw invalidHistory(index, 'Expected a timeline of 32 bits, not 0.');
    if (previous !== undefined && timeline <= previous.timeline) {
      throw invalidHistory(index, `Expected a timeline above ${previous.timeline}, found ${timeline}.`);
    }
    switches.push({ timeline, switchLsn: parseLsn(match[2] as string), reason: match[3] ?? '' });
  }
  return switches;
}

/** Writes a timeline history file as PostgreSQL does: a line for each ancestor, separated by tabs. */
export function formatTimelineHistory(switches: readonly TimelineSwitch[]): string {
  return switches
    .map((entry) => `${entry.timeline}\t${formatLsn(entry.switchLsn)}\t${entry.reason.replaceAll(/\s+/g, ' ')}\n`)
    .join('');
}

function invalidHistory(lineIndex: number, detail: string): HoldfastError {
  return new HoldfastError('PG_TIMELINE_HISTORY_INVALID', `invalid timeline history at line ${lineIndex + 1}`, {
    detail,
  });
}
