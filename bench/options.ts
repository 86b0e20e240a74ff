import { parseArgs } from 'node:util';
import { type ContenderName, contenderNames } from './contenders/index.ts';

/** What can be measured beside the peers. */
export type RowName = 'full' | 'restore';

export const rowNames: readonly RowName[] = ['full', 'restore'];

/** What is measured of us alone: a store that is far away. */
const farName = 'far';

/** What the command line asked for. */
export interface BenchOptions {
  rows: readonly RowName[];
  /** Whether backup and restore are measured over a long line to a store. */
  far: boolean;
  contenders: readonly ContenderName[];
  rounds: number;
  scale: number;
  json: boolean;
  record: boolean;
}

export const usage = `usage: npm run bench -- [options]
  --only ROW           full, restore, or far (over S3, near and far away); may be given again (default: all)
  --contender NAME     pg_basebackup, pgbackrest or holdfast; may be given again (default: all)
  --rounds N           rounds, each in the reverse order of the one before (default: 3)
  --scale X            size of the data set; 1 is about 3 GB (default: 1)
  --json               one JSON document on the last line of standard output
  --record             append the results to bench/RESULTS.md`;

/** Reads the command line. Errors: a plain one for the user when something in it cannot be. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      contender: { type: 'string', multiple: true },
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
  const only = pickNames('--only', values.only, [...rowNames, farName] as const);
  return {
    rows: rowNames.filter((name) => only.includes(name)),
    far: only.includes(farName),
    contenders: pickNames('--contender', values.contender, contenderNames),
    rounds,
    scale,
    json: values.json,
    record: values.record,
  };
}

function pickNames<Name extends string>(
  option: string,
  given: readonly string[] | undefined,
  all: readonly Name[],
): readonly Name[] {
  const unrecognized = given?.find((name) => !all.some((known) => known === name));
  if (unrecognized !== undefined)
    throw new Error(`${option} must be one of ${all.join(', ')}, found "${unrecognized}"`);
  return given === undefined ? all : all.filter((name) => given.includes(name));
}
