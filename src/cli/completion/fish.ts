import type { CommandShape, OptionShape } from './command-shape.ts';

/** A script for fish 3 and later: one line for each word and option, under the condition that its command stands before the cursor. */
export function writeFishCompletion(commands: readonly CommandShape[]): string {
  const summaries = new Map<string, { group: string; word: string; help: string }>();
  for (const { path, summary } of commands) {
    path.forEach((word, depth) => {
      const group = path.slice(0, depth).join(' ');
      const isCommand = depth === path.length - 1;
      const known = summaries.get(`${group} ${word}`);
      summaries.set(`${group} ${word}`, { group, word, help: isCommand ? summary : (known?.help ?? '') });
    });
  }
  const valued = new Set(
    commands.flatMap(({ options }) => options.filter(({ value }) => value !== null).map(({ name }) => name)),
  );
  return `# fish completion for holdfast
function __holdfast_is
    set -l words
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word ${[...valued].join(' ')}
            set skip 1
        else if not string match -q -- '-*' $word
            set -a words $word
        end
    end
    set -l typed (string join ' ' -- $words)
    if test "$argv[2]" = exactly
        test "$typed" = "$argv[1]"
    else
        string match -q -- "$argv[1]*" "$typed"
    end
end
complete -c holdfast -f
complete -c holdfast -n '__holdfast_is "" exactly' -l version -d 'Print the version.'
complete -c holdfast -l help -d 'Print help.'
${[...summaries.values()].map(({ group, word, help }) => `complete -c holdfast -n ${quote(`__holdfast_is "${group}" exactly`)} -a ${word}${help === '' ? '' : ` -d ${quote(help)}`}`).join('\n')}
${commands.flatMap(commandLines).join('\n')}
`;
}

function commandLines({ path, options, arguments: given }: CommandShape): string[] {
  const condition = `-n ${quote(`__holdfast_is "${path.join(' ')}"`)}`;
  const lines = options.filter(({ name }) => name !== '--help').map((option) => optionLine(condition, option));
  for (const value of given) {
    if (value.kind === 'choice') lines.push(`complete -c holdfast ${condition} -a ${quote(value.choices.join(' '))}`);
  }
  return lines;
}

function optionLine(condition: string, { name, help, value }: OptionShape): string {
  const offered = {
    none: '',
    file: ' -r -F',
    directory: " -r -a '(__fish_complete_directories)'",
    anything: ' -x',
    choice: value?.kind === 'choice' ? ` -x -a ${quote(value.choices.join(' '))}` : '',
  }[value?.kind ?? 'none'];
  return `complete -c holdfast ${condition} -l ${name.slice(2)} -d ${quote(help)}${offered}`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
