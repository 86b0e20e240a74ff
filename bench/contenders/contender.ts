import type { Command } from '../measure.ts';

/** The name of a contender, as the command line and the results have it. */
export type ContenderName = 'pg_basebackup' | 'pgbackrest' | 'holdfast';

/** One of those who are measured beside each other. What it makes lies in a directory of the round, and goes with it. */
export interface Contender {
  name: ContenderName;
  version: string;
  /** How it was set up, in one line for the reader of the results. */
  setup: string;
  /** Makes a fresh repository in an empty directory; not measured. */
  prepare(): Promise<void>;
  /** A full backup into what `prepare` made. */
  backup: Command;
  /** The backup into an empty directory; `undefined` for one that keeps nothing. */
  restore: { command: Command; directory: string } | undefined;
  /** What it has stored, in bytes; `undefined` for one that keeps nothing. */
  measureStoredBytes(): Promise<number | undefined>;
}

/** Where a contender works in one round: a fresh directory that the peers' user may write to. */
export interface RoundDirectory {
  outside: string;
  inside: string;
}
