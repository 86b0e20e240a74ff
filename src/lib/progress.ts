/**
 * How far long work is. Engines report here and never print; whoever called them decides what is shown, and where.
 *
 * All calls are cheap enough for each piece of work (a mebibyte, a file); none throws, none waits.
 */
export interface Progress {
  /** A new stage begins and the one before it is over. `total` counts `unit`s; leave it out while nobody can know it. */
  begin(stage: string, options?: { unit?: ProgressUnit; total?: number }): void;
  /** Gives or corrects the total of the current stage, such as when a server's estimate turns out wrong. */
  expect(total: number): void;
  /** So much more of the current stage is done. */
  advance(amount: number): void;
  /** Something worth a line of its own that is no error: what was waited for, what was skipped and why. */
  note(message: string): void;
}

/** What is counted. */
export type ProgressUnit = 'bytes' | 'files' | 'chunks' | 'segments' | 'objects';

/** For callers who do not want to know. */
export const silentProgress: Progress = { begin: () => {}, expect: () => {}, advance: () => {}, note: () => {} };
