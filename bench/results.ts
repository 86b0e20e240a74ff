import { cpus, release, totalmem } from 'node:os';
import type { DataSet } from './data-set.ts';
import type { BenchRow, Comparison, Sample } from './row.ts';
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
  contender: string;
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
export interface Ratio extends Comparison {
  wall: Spread;
  machineCpu: Spread;
  runCpu: Spread;
  stored: Spread | undefined;
  peakMemory: Spread;
}

/** One thing that was measured. */
export interface RowResult {
  row: string;
  title: string;
  /** Time and bytes stored are of each GiB that was backed up or restored; memory is not. */
  perGibibyte: boolean;
  contenders: ContenderResult[];
  ratios: Ratio[];
  notes: string[];
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

/** Puts the samples of a row together, and ours beside everybody else's. Only contenders that ran are compared. */
export function summarize(row: BenchRow, samples: readonly Sample[], notes: readonly string[]): RowResult {
  const ofRow = samples.filter((sample) => sample.row === row.name).map(divideBySource);
  const names = [...new Set(ofRow.map((sample) => sample.contender))];
  const runsOf = (name: string) =>
    ofRow.filter((sample) => sample.contender === name).toSorted((a, b) => a.round - b.round);
  return {
    row: row.name,
    title: row.title,
    perGibibyte: ofRow.some(({ sourceBytes }) => sourceBytes !== undefined),
    contenders: names.map((name) => summarizeContender(runsOf(name))),
    ratios: row.comparisons
      .filter(({ ours, against }) => names.includes(ours) && names.includes(against))
      .map((comparison) => compare(comparison, runsOf(comparison.ours), runsOf(comparison.against))),
    notes: [...notes],
  };
}

/** A run as it would be of one GiB, where sizes are compared. */
function divideBySource(sample: Sample): Sample {
  if (sample.sourceBytes === undefined) return sample;
  const gibibytes = sample.sourceBytes / 2 ** 30;
  return {
    ...sample,
    wallSeconds: sample.wallSeconds / gibibytes,
    machineCpuSeconds: sample.machineCpuSeconds / gibibytes,
    otherCpuSeconds: sample.otherCpuSeconds / gibibytes,
    storedBytes: sample.storedBytes === undefined ? undefined : sample.storedBytes / gibibytes,
  };
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

function compare(comparison: Comparison, ours: readonly Sample[], theirs: readonly Sample[]): Ratio {
  const [oursStored, theirsStored] = [ours, theirs].map((runs) => runs.flatMap((run) => run.storedBytes ?? []));
  const bothStore = oursStored?.length === ours.length && theirsStored?.length === theirs.length;
  const divide = (read: (run: Sample) => number) => ratiosOf(ours.map(read), theirs.map(read));
  return {
    ...comparison,
    wall: divide((run) => run.wallSeconds),
    machineCpu: divide((run) => run.machineCpuSeconds),
    runCpu: divide(runCpuOf),
    peakMemory: divide((run) => run.peakMemoryBytes),
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
