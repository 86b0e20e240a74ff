import { cpus, release, totalmem } from 'node:os';
import type { ContenderName } from './contenders/index.ts';
import type { DataSet } from './data-set.ts';
import type { RowName } from './options.ts';
import type { Sample } from './rounds.ts';
import { ratiosOf, type Spread, spreadOf } from './statistics.ts';

/** What the machine is, as far as it bears on a measurement; nothing that says whose it is. */
export interface MachineFacts {
  processor: string;
  cores: number;
  memoryBytes: number;
  kernel: string;
  node: string;
  postgres: string;
}

/** All runs of one contender in one row. */
export interface ContenderResult {
  contender: ContenderName;
  version: string;
  setup: string;
  wallSeconds: Spread;
  machineCpuSeconds: Spread;
  otherCpuSeconds: Spread;
  storedBytes: Spread | undefined;
  peakMemoryBytes: Spread;
}

/** Ours divided by one of the others', round by round. */
export interface Ratio {
  against: ContenderName;
  wall: Spread;
  machineCpu: Spread;
  stored: Spread | undefined;
}

/** One thing that was measured. */
export interface RowResult {
  row: RowName;
  contenders: ContenderResult[];
  ratios: Ratio[];
}

/** All that a bench found out. */
export interface BenchResults {
  measuredAt: string;
  machine: MachineFacts;
  dataSet: DataSet;
  rounds: number;
  rows: RowResult[];
  samples: Sample[];
}

/** Reads what there is to know of the machine. */
export function readMachineFacts(postgres: string): MachineFacts {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unnamed',
    cores: cpus().length,
    memoryBytes: totalmem(),
    // What follows the number is the builder's own affair.
    kernel: /^\d+(\.\d+)*/.exec(release())?.[0] ?? 'unnamed',
    node: process.versions.node,
    postgres,
  };
}

/** Puts the samples of each row together, and ours beside everybody else's. */
export function summarize(samples: readonly Sample[], rows: readonly RowName[]): RowResult[] {
  return rows.map((row) => {
    const ofRow = samples.filter((sample) => sample.row === row);
    const names = [...new Set(ofRow.map((sample) => sample.contender))];
    const runsOf = (name: ContenderName) =>
      ofRow.filter((sample) => sample.contender === name).toSorted((a, b) => a.round - b.round);
    const ours = runsOf('holdfast');
    return {
      row,
      contenders: names.map((name) => summarizeContender(runsOf(name))),
      ratios: ours.length === 0 ? [] : names.filter((name) => name !== 'holdfast').map((n) => compare(ours, runsOf(n))),
    };
  });
}

function summarizeContender(runs: readonly Sample[]): ContenderResult {
  const [first] = runs;
  if (first === undefined) throw new RangeError('cannot summarize a contender that did not run');
  return {
    contender: first.contender,
    version: first.version,
    setup: first.setup,
    wallSeconds: spreadOf(runs.map((run) => run.wallSeconds)),
    machineCpuSeconds: spreadOf(runs.map((run) => run.machineCpuSeconds)),
    otherCpuSeconds: spreadOf(runs.map((run) => run.otherCpuSeconds)),
    storedBytes: spreadOfStored(runs),
    peakMemoryBytes: spreadOf(runs.map((run) => run.peakMemoryBytes)),
  };
}

function compare(ours: readonly Sample[], theirs: readonly Sample[]): Ratio {
  const [oursStored, theirsStored] = [ours, theirs].map((runs) => runs.flatMap((run) => run.storedBytes ?? []));
  const bothStore = oursStored?.length === ours.length && theirsStored?.length === theirs.length;
  return {
    against: theirs[0]?.contender ?? 'pg_basebackup',
    wall: ratiosOf(
      ours.map((run) => run.wallSeconds),
      theirs.map((run) => run.wallSeconds),
    ),
    machineCpu: ratiosOf(
      ours.map((run) => run.machineCpuSeconds),
      theirs.map((run) => run.machineCpuSeconds),
    ),
    stored: bothStore ? ratiosOf(oursStored, theirsStored) : undefined,
  };
}

function spreadOfStored(runs: readonly Sample[]): Spread | undefined {
  const stored = runs.flatMap((run) => run.storedBytes ?? []);
  return stored.length === runs.length ? spreadOf(stored) : undefined;
}
