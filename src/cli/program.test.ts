import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { commands, findCommand } from './commands/index.ts';
import { buildProgram, type Invocation } from './program.ts';

/** Parses a line and gives what shall run, and what was printed. */
function parse(...words: string[]): { invocation: Invocation | undefined; printed: string; error: unknown } {
  const invocations: Invocation[] = [];
  const stream = new PassThrough() as unknown as NodeJS.WriteStream;
  const program = buildProgram({ stdout: stream, stderr: stream }, (found) => invocations.push(found));
  let error: unknown;
  try {
    program.parse(words, { from: 'user' });
  } catch (thrown) {
    error = thrown;
  }
  return { invocation: invocations[0], printed: String(stream.read() ?? ''), error };
}

describe('the help', () => {
  it('of the program lists every command with one sentence, and the exit codes', () => {
    const { printed } = parse('--help');
    for (const { path, summary } of commands) {
      if (path.length === 1) assert.match(printed, new RegExp(`\\b${path[0]}\\b.*${summary.slice(0, 30)}`));
    }
    assert.match(printed, /Exit codes:\n +0 +done\n +1 +failed\n +2 +wrong usage[\s\S]*130 +interrupted/);
  });

  it('of each command names its flags, the variables that stand for them and the exit codes', () => {
    for (const { path, access } of commands) {
      const { printed } = parse(...path, '--help');
      assert.match(printed, /Exit codes:\n +0 /, path.join(' '));
      assert.match(printed, /--json/);
      if (access !== 'none') assert.match(printed, /--repository <location>[\s\S]*HOLDFAST_REPOSITORY/);
    }
  });
});

describe('the examples in the help', () => {
  const examples = commands.flatMap(({ path, examples = [] }) => examples.map(({ line }) => ({ path, line })));
  /** What a shell makes of a line of plain words, up to a pipe. */
  const wordsOf = (line: string) => line.split(' | ')[0]!.split(' ').slice(1);

  it('are there for the daily commands and for all of WAL', () => {
    const daily = ['status', 'doctor', 'backup', 'list', 'show', 'verify', 'restore'];
    for (const { path } of commands.filter(({ path }) => path[0] === 'wal' || daily.includes(path[0]))) {
      assert.ok(
        examples.some((example) => example.path === path),
        path.join(' '),
      );
    }
  });

  it('are understood, as that command with flags that it has', () => {
    for (const { path, line } of examples) {
      assert.match(line, /^holdfast /);
      const { invocation, error } = parse(...wordsOf(line));
      assert.equal(error, undefined, line);
      assert.deepEqual(invocation?.command.path, path, line);
    }
  });

  it('are printed, each with what it does', () => {
    for (const { path, line } of examples) {
      assert.ok(parse(...path, '--help').printed.includes(`Examples:\n`), line);
      assert.ok(parse(...path, '--help').printed.includes(`  ${line}\n      `), line);
    }
  });
});

describe('holdfast help', () => {
  it('prints what --help prints, of the program, of a group and of a command', () => {
    for (const words of [[], ['wal'], ['wal', 'push'], ['restore']]) {
      const { printed, invocation } = parse('help', ...words);
      assert.equal(printed, parse(...words, '--help').printed);
      assert.equal(invocation, undefined);
    }
  });

  it('of a command that is not there is an error', () => {
    assert.match(String(parse('help', 'wal', 'fly').error), /unknown command 'wal fly'/);
  });
});

describe('a command line', () => {
  it('gives the command with its own flags and the options of the plan apart', () => {
    const { invocation } = parse('repository', 'init', '--repository', '/backups', '--label', 'mine', '--json');
    assert.equal(invocation?.command.path.join(' '), 'repository init');
    assert.deepEqual(invocation?.planFlags, { 'repository.primary.location': '/backups' });
    assert.equal(invocation?.values.get('label'), 'mine');
    assert.equal(invocation?.values.get('json'), true);
  });

  it('that cannot be understood is an error and runs nothing', () => {
    for (const words of [['repository', 'init', '--colour'], ['bakcup'], ['repository', 'init', 'extra']]) {
      const { invocation, error } = parse(...words);
      assert.equal(invocation, undefined);
      assert.ok(error !== undefined, words.join(' '));
    }
  });

  it('names its command also when the rest of it cannot be understood', () => {
    assert.equal(findCommand(['repository', 'init', '--colour'])?.path.join(' '), 'repository init');
    assert.equal(findCommand(['--colour']), undefined);
  });
});

it('no two commands have the same name, and no command has two flags of the same name', () => {
  const names = commands.map(({ path }) => path.join(' '));
  assert.equal(new Set(names).size, names.length);
  for (const { path } of commands) assert.doesNotThrow(() => parse(...path, '--help'), path.join(' '));
});

it('every command has its section in docs/cli-json.md', () => {
  const page = readFileSync(new URL('../../docs/cli-json.md', import.meta.url), 'utf8');
  for (const { path } of commands) assert.ok(page.includes(`\n### \`${path.join(' ')}\`\n`), path.join(' '));
});
