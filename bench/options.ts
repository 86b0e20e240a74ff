import { parseArgs } from 'node:util';
import type { BenchRow } from './row.ts';
import { benchRows } from './rows/index.ts';

/** What the command line asked for. */
export interface BenchOptions {
  rows: readonly BenchRow[];
  rounds: number;
  scale: number;
  json: boolean;
  record: boolean;
}

export const usage = `usage: npm run bench -- [options]
  --only ROW           one row, or all that begin with it, such as full; may be given again (default: all)
  --rounds N           rounds, each in the reverse order of the one before (default: 3)
  --scale X            size of the data set; 1 is about 3 GB (default: 1)
  --json               one JSON document on the last line of standard output
  --record             append the results to bench/RESULTS.md
rows:
${benchRows.map(({ name, title }) => `  ${name.padEnd(20)} ${title}`).join('\n')}`;

/** Reads the command line. Errors: a plain one for the user when something in it cannot be. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '3' },
      scale: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds must be 1 or more, found "${values.rounds}"`);
  const scale = Number(values.scale);
  if (!(scale > 0 && scale <= 100)) throw new Error(`--scale must be above 0 and at most 100, found "${values.scale}"`);
  return { rows: pickRows(values.only), rounds, scale, json: values.json, record: values.record };
}

function pickRows(asked: readonly string[] | undefined): readonly BenchRow[] {
  if (asked === undefined) return benchRows.filter(({ onlyByName }) => onlyByName !== true);
  const isAsked = ({ name }: BenchRow, by: string) => name === by || name.startsWith(`${by}-`);
  const unrecognized = asked.find((by) => !benchRows.some((row) => isAsked(row, by)));
  if (unrecognized !== undefined) {
    const names = benchRows.map(({ name }) => name).join(', ');
    throw new Error(`--only must be one of ${names}, or what some of them begin with, found "${unrecognized}"`);
  }
  // A row's whole name is that row alone, even where another one begins with it.
  const isNamed = (by: string) => benchRows.some(({ name }) => name === by);
  return benchRows.filter((row) => asked.some((by) => (isNamed(by) ? row.name === by : isAsked(row, by))));
}
