import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { commands } from '../../src/cli/commands/index.ts';
import { runHoldfast } from '../support/command-line.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { fetchShells, type Shells, whyNoShells } from '../support/shells.ts';

const run = promisify(execFile);

/** Every word that may follow `holdfast` or a group. */
function wordsAfter(group: string): string[] {
  const depth = group === '' ? 0 : 1;
  const words = commands.filter(({ path }) => depth === 0 || path[0] === group).map(({ path }) => path[depth]!);
  return [...new Set(words)].sort();
}

describe('completion', () => {
  let scratch: string;
  const scripts: Record<string, string> = {};

  before(async () => {
    scratch = await makeScratchDirectory('completion');
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout, stderr } = await runHoldfast(['completion', shell]);
      assert.equal(code, 0, stderr);
      await mkdir(join(scratch, shell));
      scripts[shell] = join(scratch, shell, '_holdfast');
      await writeFile(scripts[shell], stdout);
    }
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  /** Answers as a shell would, with the tab key pressed at the end of the line. */
  type Completer = (line: string) => Promise<string[]>;

  async function holds(complete: Completer): Promise<void> {
    const offers = async (line: string, wanted: readonly string[]) => {
      const offered = await complete(line);
      assert.deepEqual(
        wanted.filter((word) => !offered.includes(word)),
        [],
        `"${line}" offers ${offered.join(' ')}`,
      );
      return offered;
    };
    await offers('holdfast ', wordsAfter(''));
    const below = await offers('holdfast wal ', wordsAfter('wal'));
    assert.ok(!below.includes('backup'), 'a group offers its own commands only');
    assert.deepEqual(await offers('holdfast restore --int', ['--into']), ['--into']);
    assert.deepEqual((await offers('holdfast backup --checkpoint ', ['fast', 'spread'])).sort(), ['fast', 'spread']);
    await offers('holdfast completion ', ['bash', 'zsh', 'fish']);
    // A value that is spelled like a command is no command.
    const behindValue = await offers('holdfast backup --label wal --checkp', ['--checkpoint']);
    assert.deepEqual(behindValue, ['--checkpoint']);
    const directories = await offers(`holdfast restore --into ${scratch}/fi`, []);
    assert.ok(
      directories.some((offered) => /\bfish\/?$/.test(offered)),
      `a directory is completed, found ${directories.join(' ')}`,
    );
  }

  it('works in bash', async () => {
    await holds(async (line) => {
      const script = `source "$1"; COMP_LINE="$2"; read -ra COMP_WORDS <<< "$2"
        case "$2" in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout } = await run('bash', ['--norc', '-c', script, 'bash', scripts.bash!, line]);
      return stdout.split('\n').filter((word) => word !== '');
    });
  });

  describe('in shells that a machine may lack', { skip: whyNoShells() }, () => {
    let shells: Shells;

    before(async () => {
      shells = await fetchShells();
    });

    it('works in fish', async () => {
      await holds(async (line) => {
        const script = 'source $argv[1]; complete -C $argv[2]';
        const { stdout, stderr } = await run(shells.fish, ['--no-config', '-c', script, scripts.fish!, line], {
          env: { ...process.env, HOME: scratch },
        });
        assert.equal(stderr, '');
        return stdout.split('\n').flatMap((found) => (found === '' ? [] : [found.split('\t')[0]!]));
      });
    });

    it('works in zsh', async () => {
      const capture = join(scratch, 'capture.zsh');
      await writeFile(capture, captureScript(shells, dirname(scripts.zsh!)));
      await holds(async (line) => {
        const { stdout } = await run(shells.zsh, ['-f', capture, line], { timeout: 60_000 });
        return [...stdout.matchAll(/OFFER<([^>]*)>/g)].map(([, word]) => word!);
      });
    });
  });
});

/** Types a line and a tab into an interactive zsh in a terminal of its own, whose `compadd` tells what it is given. */
function captureScript({ zsh, zshModules, zshFunctions }: Shells, directory: string): string {
  const modules = dirname(dirname(globSync(`${zshModules}/**/zsh/zutil.so`)[0]!));
  const functions = [...new Set(globSync(`${zshFunctions}/functions/**/*`).map((path) => dirname(path)))];
  const setup = [
    `module_path=(${modules}); fpath=(${directory} ${functions.join(' ')}); PROMPT=`,
    'autoload -Uz compinit; compinit -u -D; bindkey "^I" complete-word',
    'compadd () { case " $* " in *" -O "*|*" -A "*|*" -D "*) builtin compadd "$@"; return ;; esac',
    'local -a found; builtin compadd -A found "$@"; for one in $found; do print -r -- "OFFER<$one>"; done }',
    // Told by the line editor itself: what is typed before it has the terminal may be taken by the terminal's own line discipline.
    'zle-line-init () { print -rn -- RE""ADY }; zle -N zle-line-init',
  ].join('\n');
  return `module_path=(${modules})
zmodload zsh/zpty
zpty z ${zsh} -f -i
zpty -w z ${quote(setup)}
zpty -r z out '*READY*'
zpty -w -n z "$1"$'\\t'
zpty -w -n z $'\\x15print EN""DED\\n'
zpty -r z out '*ENDED*'
print -r -- "$out"
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
