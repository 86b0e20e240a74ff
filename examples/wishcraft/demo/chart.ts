import type { Paint } from '../../../src/cli/output/index.ts';

/** What happened when, on the monotonic clock in milliseconds. */
export interface Timeline {
  readonly startMs: number;
  readonly endMs: number;
  /** When each write was acknowledged. */
  readonly writesMs: readonly number[];
  readonly backup: { readonly startMs: number; readonly endMs: number };
  readonly disasterMs: number;
  readonly greenMs: number;
}

const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const indent = '  ';
/** A bar for less than this would only show how writes happen to fall. */
const barMsMin = 100;

/**
 * Two lines: how many writes were acknowledged in each stretch of time, and below it when the backup was taken, when the
 * disaster struck and when the application answered again.
 */
export function formatTimeline(timeline: Timeline, width: number, paint: Paint): string[] {
  const { startMs, endMs, backup, disasterMs, greenMs } = timeline;
  const room = width - indent.length;
  const columns = Math.max(1, Math.min(room, Math.floor((endMs - startMs) / barMsMin)));
  const columnOf = (ms: number) => {
    const column = Math.floor(((ms - startMs) * columns) / (endMs - startMs));
    return Math.max(0, Math.min(columns - 1, column));
  };
  const counts = new Array<number>(columns).fill(0);
  for (const ms of timeline.writesMs) if (ms >= startMs && ms <= endMs) counts[columnOf(ms)]! += 1;
  const highest = Math.max(1, ...counts);
  const bars = counts.map((count) => (count === 0 ? ' ' : levels[Math.ceil((count * levels.length) / highest) - 1]!));
  const [struck, green] = [columnOf(disasterMs), columnOf(greenMs)];
  return [
    `${indent}${paint.accent(bars.join(''))}`,
    indent +
      [
        formatSpan('backup', columnOf(backup.startMs), columnOf(backup.endMs), 0, paint.faint),
        formatOutage(Math.max(struck, columnOf(backup.endMs) + 1), green, columnOf(backup.endMs) + 1, paint),
      ].join(''),
  ];
}

/** `╰─ backup ─╯` from column to column, with blanks before it up from `at`. */
function formatSpan(name: string, from: number, to: number, at: number, as: (text: string) => string): string {
  return ' '.repeat(from - at) + as(to > from ? `╰${drawLine(name, to - from - 1)}╯` : '┴');
}

/** `✗── outage ──✓`: red where it began, green where it ended. */
function formatOutage(from: number, to: number, at: number, paint: Paint): string {
  const line = paint.faint(drawLine('outage', to - from - 1));
  return `${' '.repeat(Math.max(0, from - at))}${paint.bad('✗')}${line}${paint.good('✓')}`;
}

/** A line with its name in the middle, when there is room for it. */
function drawLine(name: string, columns: number): string {
  const length = Math.max(0, columns);
  const label = length >= name.length + 4 ? ` ${name} ` : '';
  const left = Math.floor((length - label.length) / 2);
  return `${'─'.repeat(left)}${label}${'─'.repeat(length - label.length - left)}`;
}
