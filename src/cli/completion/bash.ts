import type { CommandShape, ValueShape } from './command-shape.ts';

/**
 * A script for bash from 3.2 on, as macOS has it: no associative arrays.
 *
 * It first finds the command by reading the words before the cursor, leaving out the values of options, which may look like commands.
 */
export function writeBashCompletion(commands: readonly CommandShape[]): string {
  const groups = new Map<string, string[]>();
  for (const { path } of commands) {
    for (let depth = 0; depth < path.length; depth++) {
      const group = path.slice(0, depth).join(' ');
      groups.set(group, [...new Set([...(groups.get(group) ?? []), path[depth]!])]);
    }
  }
  const withValue = new Set(
    commands.flatMap(({ options }) => options.filter(({ value }) => value !== null).map(({ name }) => name)),
  );
  const stops = [...groups].flatMap(([group, words]) => words.map((word) => `${group} ${word}`));
  return `# bash completion for holdfast
_holdfast() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="" skip="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [ -n "$skip" ]; then skip=""; continue; fi
    case "$word" in
      ${[...withValue].join('|')}) skip=1; continue ;;
    esac
    case "$command $word" in
      ${stops.map(quote).join('|')}) command="\${command:+$command }$word" ;;
    esac
  done
  COMPREPLY=()
  case "$command $previous" in
${commands.flatMap(valueCases).join('\n')}
  esac
  local words=""
  case "$command" in
${[...groups].map(([group, words]) => `    ${quote(group)}) words=${quote(group === '' ? `${words.join(' ')} --help --version` : `${words.join(' ')} --help`)} ;;`).join('\n')}
${commands.map(commandCase).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _holdfast holdfast
`;
}

function commandCase({ path, options, arguments: given }: CommandShape): string {
  const names = options.map(({ name }) => name);
  const choices = given.flatMap((value) => (value.kind === 'choice' ? value.choices : []));
  return `    ${quote(path.join(' '))}) words=${quote([...choices, ...names].join(' '))} ;;`;
}

function valueCases({ path, options }: CommandShape): string[] {
  return options.flatMap(({ name, value }) =>
    value === null ? [] : [`    ${quote([...path, name].join(' '))}) ${offer(value)} return ;;`],
  );
}

function offer(value: ValueShape): string {
  switch (value.kind) {
    case 'file':
      return 'COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames 2>/dev/null;';
    case 'directory':
      return 'COMPREPLY=($(compgen -d -- "$current")); compopt -o filenames 2>/dev/null;';
    case 'choice':
      return `COMPREPLY=($(compgen -W ${quote(value.choices.join(' '))} -- "$current"));`;
    default:
      return '';
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
