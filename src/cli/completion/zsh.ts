import type { CommandShape, OptionShape, ValueShape } from './command-shape.ts';

/** A function for zsh's own completion: each command's options are given to `_arguments`. */
export function writeZshCompletion(commands: readonly CommandShape[]): string {
  const groups = new Map<string, Map<string, string>>();
  for (const { path, summary } of commands) {
    path.forEach((word, depth) => {
      const group = path.slice(0, depth).join(' ');
      const words = groups.get(group) ?? new Map<string, string>();
      groups.set(group, words);
      if (depth === path.length - 1 || !words.has(word)) words.set(word, depth === path.length - 1 ? summary : '');
    });
  }
  const depthMax = Math.max(...commands.map(({ path }) => path.length));
  return `#compdef holdfast
_holdfast() {
  local command="" depth=0
  local -a choices
  while (( depth < ${depthMax} && depth + 2 < CURRENT )); do
    [[ "\${words[depth + 2]}" == -* ]] && break
    command="\${command:+$command }\${words[depth + 2]}"
    (( depth += 1 ))
    case "$command" in
      ${[...groups.keys()]
        .filter((group) => group !== '')
        .map(quote)
        .join('|')}) ;;
      *) break ;;
    esac
  done
  # _arguments counts from the command's own word.
  words=("\${(@)words[depth + 1, -1]}")
  (( CURRENT -= depth ))
  case "$command" in
${[...groups].map(groupCase).join('\n')}
${commands.map(commandCase).join('\n')}
  esac
}
if [[ "\${funcstack[1]}" == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`;
}

function groupCase([group, words]: [string, Map<string, string>]): string {
  const listed = [...words].map(([word, help]) => quote(help === '' ? word : `${word}:${help}`));
  return `    ${quote(group)}) choices=(${listed.join(' ')}); _describe -t commands command choices ;;`;
}

function commandCase({ path, options, arguments: given }: CommandShape): string {
  const described = [
    ...options.map(describeOption),
    ...given.map((value, index) => `${index + 1}:value:${act(value)}`),
  ];
  return `    ${quote(path.join(' '))}) _arguments ${described.map(quote).join(' ')} ;;`;
}

function describeOption({ name, help, value }: OptionShape): string {
  const text = help.replaceAll(/([[\]:\\])/g, '\\$1');
  return value === null ? `${name}[${text}]` : `${name}[${text}]:value:${act(value)}`;
}

function act(value: ValueShape): string {
  switch (value.kind) {
    case 'file':
      return '_files';
    case 'directory':
      return '_files -/';
    case 'choice':
      return `(${value.choices.join(' ')})`;
    default:
      return ' ';
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
