/**
 * Completion of the command line in shells, made from the commands themselves: what `--help` tells is what is offered.
 *
 * A *shape* is one command as a shell sees it: its words, its options, what follows each. It offers words, options, choices, files and
 * directories; it never looks into a repository, so that pressing a key costs nothing and asks for no passphrase.
 */
import { writeBashCompletion } from './bash.ts';
import type { CommandShape } from './command-shape.ts';
import { writeFishCompletion } from './fish.ts';
import { writeZshCompletion } from './zsh.ts';

export { type CommandShape, describeProgram, type OptionShape } from './command-shape.ts';

/** The shells that are known. */
export const shells = {
  bash: writeBashCompletion,
  zsh: writeZshCompletion,
  fish: writeFishCompletion,
} as const satisfies Record<string, (commands: readonly CommandShape[]) => string>;
