import { type Clock, HoldfastError, systemClock } from '../lib/index.ts';
import { exitCodes } from './exit-code.ts';

/** Ctrl-C, and how service managers stop a process. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * What comes sooner after the first signal is the first one again: a terminal sends Ctrl-C to us and to npm, `timeout` or `sudo`, which
 * hand it on. No finger is that fast.
 */
const echoMsMax = 300;

/** What a command is given so that it can end cleanly when it is asked to. */
export interface Interruption {
  readonly signal: AbortSignal;
  stopListening(): void;
}

/**
 * The first signal asks the command to end cleanly, the second ends the process at once: nothing in a repository depends on
 * a clean end, but a person must always be able to get the terminal back.
 */
export function listenForInterruption(clock: Clock = systemClock): Interruption {
  const controller = new AbortController();
  let firstAt = 0;
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      if (clock.monotonic() - firstAt > echoMsMax) process.exit(exitCodes.interrupted.code);
      return;
    }
    firstAt = clock.monotonic();
    const hints = ['What was confirmed before is kept. Run the same command again when you are ready.'];
    controller.abort(new HoldfastError('INTERRUPTED', `interrupted by ${name}`, { hints }));
  };
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    stopListening: () => {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
