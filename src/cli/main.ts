import { CommanderError } from 'commander';
import { HoldfastError, messageOf, systemClock } from '../lib/index.ts';
import { commands, findCommand } from './commands/index.ts';
import { exitCodeFor, exitCodes } from './exit-code.ts';
import { listenForInterruption } from './interruption.ts';
import { buildProgram, type Invocation } from './program.ts';
import { makeReporter } from './reporter.ts';
import { runCommand } from './run-command.ts';
import type { Surroundings } from './surroundings.ts';

/** The command line: reads it, runs the command, and gives the code with which the process shall end. */
async function main(words: readonly string[]): Promise<number> {
  const interruption = listenForInterruption();
  const surroundings: Surroundings = {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    directory: process.cwd(),
    clock: systemClock,
    signal: interruption.signal,
  };
  // Both are looked up before the line is understood, as one that is not understood ends in the same form.
  const reporter = makeReporter({ json: words.includes('--json'), events: words.includes('--events') }, surroundings);
  const exitCodeKind = findCommand(words)?.exitCodes ?? 'holdfast';
  const invocations: Invocation[] = [];
  try {
    buildProgram(surroundings, (found) => invocations.push(found)).parse(words, { from: 'user' });
    const [invocation] = invocations;
    if (invocation === undefined) throw new HoldfastError('USAGE_INVALID', 'no command was given');
    return exitCodeFor(exitCodeKind, await runCommand(invocation, surroundings, reporter));
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done.code;
    // The help of a group of commands was printed instead of an error.
    if (!(error instanceof CommanderError && error.code === 'commander.help')) reporter.fail(usageError(error, words));
    return exitCodeFor(exitCodeKind, { reason: 'usage' });
  } finally {
    interruption.stopListening();
  }
}

function usageError(error: unknown, words: readonly string[]): unknown {
  if (!(error instanceof CommanderError)) return error;
  const path =
    findCommand(words)?.path.join(' ') ?? commands.find(({ path }) => path.length > 1 && path[0] === words[0])?.path[0];
  const [message, ...advice] = error.message.replace(/^error: /, '').split('\n');
  return new HoldfastError('USAGE_INVALID', message!.replaceAll("'", '"'), {
    hints: [
      ...advice.map((text) => text.replace(/^\((.*)\)$/, '$1')),
      `Run ${path === undefined ? 'holdfast' : `holdfast ${path}`} --help to see what there is.`,
    ],
  });
}

// Whoever reads our output may stop reading, as `head` does; that is nobody's failure and needs no words. A full disk behind `>` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') process.stderr.write(`error: could not write the output: ${messageOf(error)}\n`);
  process.exit(exitCodes.failed.code);
});
// Safe to drop: a receiver or a restore must not end because nobody can be told how it goes.
process.stderr.on('error', () => undefined);

process.exitCode = await main(process.argv.slice(2));
