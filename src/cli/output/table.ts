import { stripVTControlCharacters } from 'node:util';
import type { Paint } from './paint.ts';

/** A column's head; numbers stand to the right. */
export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
}

const gap = '  ';

/** Lines of a table whose columns are as wide as their widest cell, coloured or not. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string[] {
  const widths = columns.map(({ head }, index) =>
    Math.max(head.length, ...rows.map((row) => visibleLength(row[index] ?? ''))),
  );
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => pad(cells[index] ?? '', widths[index]!, align ?? 'left'))
      .join(gap)
      .trimEnd();
  return [paint.faint(line(columns.map(({ head }) => head))), ...rows.map(line)];
}

/** Lines of names and values, the values below each other. A value of several lines keeps its place. */
export function formatFacts(facts: readonly (readonly [string, string])[], paint: Paint): string[] {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  return facts.flatMap(([name, value]) => {
    const [first, ...more] = value.split('\n');
    const indent = ' '.repeat(width + gap.length);
    return [`${paint.faint(name.padEnd(width))}${gap}${first}`, ...more.map((text) => `${indent}${text}`)];
  });
}

function pad(cell: string, width: number, align: 'left' | 'right'): string {
  const blanks = ' '.repeat(Math.max(0, width - visibleLength(cell)));
  return align === 'right' ? blanks + cell : cell + blanks;
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}
