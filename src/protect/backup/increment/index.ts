/**
 * Increments: what a server sends of its changes, made into whole files over an older backup.
 *
 * Nouns. *Base*: the older backup. *Increment of a file*: its changed blocks, and up to where the base counts for the others. *Refusal*: why the
 * increment cannot be made into a whole backup, so that everything has to be read. What was sent is kept for the checks; nothing is decided here
 * about what becomes of the run.
 */

export { describeBase } from './describe-base.ts';
export { IncrementAssembler } from './increment-assembler.ts';
export { incrementedPathOf, incrementedTreePath } from './increment-path.ts';
export { type SentFile, SentFiles } from './sent-files.ts';
