import { errorDocument, formatError, formatTraces, paintFor } from '../../../src/cli/output/index.ts';
import { codeOf, HoldfastError } from '../../../src/lib/index.ts';
import { type DemoOptions, parseOptions, usage } from './options.ts';
import { openScreen } from './screen.ts';

/** The first of these ends the demo in order, the second at once; what is then left, the guard clears away. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

process.exitCode = await main(process.argv.slice(2));

async function main(commandLine: readonly string[]): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseOptions(commandLine);
  } catch (error) {
    return fail(error, false);
  }
  if (options.help) {
    console.log(usage);
    return exitCodes.done;
  }
  forgetSurroundings();
  try {
    // Loaded only now: who mistyped an option need not wait for the whole engine.
    const { runDemo } = await import('./run-demo.ts');
    const screen = openScreen(options.json ? process.stderr : process.stdout);
    const { result, isAsPromised } = await runDemo(options, screen, listenForInterruption());
    if (options.json) console.log(JSON.stringify(result));
    return isAsPromised ? exitCodes.done : exitCodes.failed;
  } catch (error) {
    return fail(error, options.json);
  }
}

function listenForInterruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of signals) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort(new HoldfastError('INTERRUPTED', `interrupted by ${name}`));
    });
  }
  return controller.signal;
}

/** The demo is about its own servers and its own repository, whatever this shell is set up for otherwise. */
function forgetSurroundings(): void {
  for (const name of Object.keys(process.env)) {
    const isOurs = name.startsWith('HOLDFAST_') && name !== 'HOLDFAST_DEBUG';
    if (isOurs || name.startsWith('PG') || name === 'DATABASE_URL') delete process.env[name];
  }
}

function fail(error: unknown, asJson: boolean): number {
  for (const line of formatError(error, paintFor(process.stderr))) console.error(line);
  if (process.env.HOLDFAST_DEBUG === '1') for (const line of formatTraces(error)) console.error(line);
  if (asJson) console.log(JSON.stringify(errorDocument(error)));
  if (codeOf(error) === 'USAGE_INVALID') return exitCodes.usage;
  return codeOf(error) === 'INTERRUPTED' ? exitCodes.interrupted : exitCodes.failed;
}
