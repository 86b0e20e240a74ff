import type { Measurement } from './measure.ts';
import type { Peers } from './peers.ts';
import type { BenchServer } from './server.ts';

/** One thing that is measured, for several contenders in turn. */
export interface BenchRow {
  /** As `--only` takes it. */
  readonly name: string;
  /** What is measured, in one line for the reader of the results. */
  readonly title: string;
  /** Whose numbers are divided by whose, and what is aimed at. */
  readonly comparisons: readonly Comparison[];
  /** Left out unless it is asked for by name: it takes long. */
  readonly onlyByName?: true;
  run(context: RowContext): Promise<void>;
}

/** Ours beside theirs, by the names under which the samples are. */
export interface Comparison {
  readonly ours: string;
  readonly against: string;
  /** The largest ratio that is aimed at; `cpu` is the whole machine's. */
  readonly aims: { readonly wall?: number; readonly cpu?: number; readonly stored?: number };
}

/** What a row is given. */
export interface RowContext {
  readonly peers: Peers;
  readonly server: BenchServer;
  readonly rounds: number;
  readonly scale: number;
  /** A fresh directory, which the peers may write to. It goes when the row ends. */
  directory(name: string): Promise<BenchDirectory>;
  /** Keeps one run of one contender. Where `sourceBytes` is given, the report has what each GiB of it took. */
  add(contender: Entrant, round: number, measurement: Measurement, storedBytes?: number, sourceBytes?: number): void;
  /** A sentence for the report. */
  note(text: string): void;
}

/** Who runs, as the results have it. */
export interface Entrant {
  readonly name: string;
  readonly version: string;
  /** How it was set up, in one line for the reader of the results. */
  readonly setup: string;
}

/** A directory that programs inside the peers' root and outside of it see. */
export interface BenchDirectory {
  readonly outside: string;
  readonly inside: string;
}

/** One run of one contender. */
export interface Sample extends Measurement {
  readonly row: string;
  readonly contender: string;
  readonly version: string;
  readonly setup: string;
  readonly round: number;
  /** What the repository grew by, or holds; `undefined` where nothing is kept. */
  readonly storedBytes: number | undefined;
  /** How much was backed up or restored, in rows that compare sizes; `undefined` in others. */
  readonly sourceBytes: number | undefined;
}

/** The contenders of a round, their order turned around each time: what one leaves to the next, in caches or in the disk's queue, hits each of them. */
export function inTurn<T>(contenders: readonly T[], round: number): readonly T[] {
  return round % 2 === 1 ? contenders : contenders.toReversed();
}
