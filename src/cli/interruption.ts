import { HoldfastError } from '../lib/index.ts';
import { exitCodes } from './exit-code.ts';

/** Ctrl-C, and how service managers stop a process. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What a command is given so that it can end cleanly when it is asked to. */
export interface Interruption {
  readonly signal: AbortSignal;
  stopListening(): void;
}

/**
 * The first signal asks the command to end cleanly, the second ends the process at once: nothing in a repository depends on
 * a clean end, but a person must always be able to get the terminal back.
 */
export function listenForInterruption(): Interruption {
  const controller = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted.code);
    controller.abort(new HoldfastError('INTERRUPTED', `interrupted by ${name}`));
  };
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    stopListening: () => {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
