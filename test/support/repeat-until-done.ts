import assert from 'node:assert/strict';
import { HoldfastError } from '../../src/lib/index.ts';

/** How often each code was met by those who repeat. */
export type MetCodes = Map<string, number>;

/**
 * Does something again until it succeeds, as a person or a timer does. Whatever made it fail must have been an error for people, with a code of
 * its own. Before each repetition `ease` is told how many attempts have failed; one that fails this often never succeeds.
 */
export async function repeatUntilDone<T>(
  what: string,
  attempt: () => Promise<T>,
  options: { met: MetCodes; attemptsMax: number; ease: (failed: number) => void },
): Promise<T> {
  for (let failed = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      assert.notEqual(error.code, 'INTERNAL', `${what}: ${error.message}`);
      options.met.set(error.code, (options.met.get(error.code) ?? 0) + 1);
      failed += 1;
      if (failed === options.attemptsMax) throw error;
      options.ease(failed);
    }
  }
}
