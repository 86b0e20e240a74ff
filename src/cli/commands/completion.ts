import { assert } from '../../lib/index.ts';
import type { Command } from '../command.ts';

/** `holdfast completion`. */
export const completion: Command = {
  path: ['completion'],
  summary: 'Print a script by which a shell completes commands and options.',
  details: [
    'bash: holdfast completion bash > /etc/bash_completion.d/holdfast',
    'zsh:  holdfast completion zsh > "$fpath[1]/_holdfast"',
    'fish: holdfast completion fish > ~/.config/fish/completions/holdfast.fish',
  ],
  access: 'none',
  database: 'none',
  arguments: [{ name: 'shell', help: 'bash, zsh or fish.', choices: ['bash', 'zsh', 'fish'] }],
  run: async (_context, input) => {
    const { describeProgram, shells } = await import('../completion/index.ts');
    const { buildProgram } = await import('../program.ts');
    const shell = input.required('shell');
    assert(isShell(shell, shells), 'the choices of the argument are the shells');
    const script = shells[shell](
      describeProgram(buildProgram({ stdout: process.stdout, stderr: process.stderr }, () => {})),
    );
    return { json: { shell, script }, text: () => script.trimEnd().split('\n') };
  },
};

function isShell<Shells extends object>(text: string, shells: Shells): text is Extract<keyof Shells, string> {
  return Object.hasOwn(shells, text);
}
