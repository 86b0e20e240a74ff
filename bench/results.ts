import { cpus, release, totalmem } from 'node:os';
import type { ContenderName } from './contenders/index.ts';
import type { DataSet } from './data-set.ts';
import type { FarResults } from './far-store.ts';
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
  /** Of it the program's and the server's. */
  runCpuSeconds: Spread;
  storedBytes: Spread | undefined;
  peakMemoryBytes: Spread;
}

/** Ours divided by one of the others', round by round. */
export interface Ratio {
  against: ContenderName;
  wall: Spread;
  machineCpu: Spread;
  runCpu: Spread;
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
  /** `null` when it was not asked for. */
  far: FarResults | null;
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
    runCpuSeconds: spreadOf(runs.map(runCpuOf)),
    storedBytes: spreadOfStored(runs),
    peakMemoryBytes: spreadOf(runs.map((run) => run.peakMemoryBytes)),
  };
}

function compare(ours: readonly Sample[], theirs: readonly Sample[]): Ratio {
  const [oursStored, theirsStored] = [ours, theirs].map((runs) => runs.flatMap((run) => run.storedBytes ?? []));
  const bothStore = oursStored?.length === ours.length && theirsStored?.length === theirs.length;
  const divide = (read: (run: Sample) => number) => ratiosOf(ours.map(read), theirs.map(read));
  return {
    against: theirs[0]?.contender ?? 'pg_basebackup',
    wall: divide((run) => run.wallSeconds),
    machineCpu: divide((run) => run.machineCpuSeconds),
    runCpu: divide(runCpuOf),
    stored: bothStore ? ratiosOf(oursStored, theirsStored) : undefined,
  };
}

/** What neither the program nor the server has used is left out: other programs, but also the kernel's late writing. */
function runCpuOf(run: Sample): number {
  return run.machineCpuSeconds - run.otherCpuSeconds;
}

function spreadOfStored(runs: readonly Sample[]): Spread | undefined {
  const stored = runs.flatMap((run) => run.storedBytes ?? []);
  return stored.length === runs.length ? spreadOf(stored) : undefined;
}
