import type { Argument, Command as Commander, Option } from 'commander';

/** One command as a shell sees it. */
export interface CommandShape {
  /** `['wal', 'stream']`. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionShape[];
  /** What each argument stands for, in order. */
  readonly arguments: readonly ValueShape[];
}

export interface OptionShape {
  /** With its dashes. */
  readonly name: string;
  /** Its first sentence. */
  readonly help: string;
  /** `null` for an option without a value. */
  readonly value: ValueShape | null;
}

/** What may stand in a place: something that only the user knows, or what a shell can offer. */
export type ValueShape =
  | { readonly kind: 'file' | 'directory' | 'anything' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] };

/** Reads the tree of commands that answers `--help`. */
export function describeProgram(program: Commander): CommandShape[] {
  return program.commands.flatMap((command) => describeBelow([], command));
}

function describeBelow(parents: readonly string[], command: Commander): CommandShape[] {
  const path = [...parents, command.name()];
  if (command.commands.length > 0) return command.commands.flatMap((child) => describeBelow(path, child));
  const options = command.createHelp().visibleOptions(command).map(describeOption);
  const given = command.registeredArguments.map(({ argChoices }) => describeArgument(argChoices));
  return [{ path, summary: command.summary(), options, arguments: given }];
}

function describeArgument(choices: Argument['argChoices']): ValueShape {
  return choices === undefined ? { kind: 'anything' } : { kind: 'choice', choices };
}

function describeOption(option: Option): OptionShape {
  const help = /^.*?\.(?= |$)/.exec(option.description)?.[0] ?? option.description;
  return { name: option.long!, help, value: describeValue(option) };
}

/** A placeholder such as `<file>` says what belongs there. */
function describeValue({ flags, argChoices, required, optional }: Option): ValueShape | null {
  if (!required && !optional) return null;
  if (argChoices !== undefined) return { kind: 'choice', choices: argChoices };
  const placeholder = /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1];
  if (placeholder === 'file') return { kind: 'file' };
  if (placeholder === 'directory' || placeholder === 'location') return { kind: 'directory' };
  return { kind: 'anything' };
}
