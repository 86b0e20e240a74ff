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
  const backupEnd = columnOf(backup.endMs);
  const struck = Math.max(columnOf(disasterMs), backupEnd + 1);
  const span = formatSpan('backup', columnOf(backup.startMs), backupEnd, struck);
  return [
    `${indent}${paint.accent(bars.join(''))}`,
    `${indent}${paint.faint(span.padEnd(struck))}${formatOutage(columnOf(greenMs) - struck - 1, paint)}`,
  ];
}

/** `╰─ backup ─╯` from column to column, or `╰──╯ backup` when there is more room up to `next`. */
function formatSpan(name: string, from: number, to: number, next: number): string {
  const inside = drawLine(name, to - from - 1);
  const behind = !inside.includes(name) && to + name.length + 2 < next ? ` ${name}` : '';
  return `${' '.repeat(from)}${to > from ? `╰${inside}╯` : '┴'}${behind}`;
}

/** `✗── outage ──✓`: red where it began, green where it ended. */
function formatOutage(columns: number, paint: Paint): string {
  return `${paint.bad('✗')}${paint.faint(drawLine('outage', columns))}${paint.good('✓')}`;
}

/** A line with its name in the middle, when there is room for it. */
function drawLine(name: string, columns: number): string {
  const length = Math.max(0, columns);
  const label = length >= name.length + 4 ? ` ${name} ` : '';
  const left = Math.floor((length - label.length) / 2);
  return `${'─'.repeat(left)}${label}${'─'.repeat(length - label.length - left)}`;
}
