import assert from 'node:assert/strict';
import { systemClock } from '../../src/lib/index.ts';

const LOOK_MS = 25;
/** Longer than the longest pause after which anything that is waited for is tried again, also on a machine that has much else to do. */
const WAIT_MS_MAX = 60_000;

/** Settled when something is so; fails when it never is. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const end = systemClock.monotonic() + WAIT_MS_MAX;
  while (!(await isSo())) {
    if (systemClock.monotonic() > end) assert.fail(`waited in vain for ${what}`);
    await systemClock.sleep(LOOK_MS);
  }
}
