import { type Clock, systemClock } from '../../src/lib/index.ts';
import { ManualClock } from './manual-clock.ts';

/** A clock whose sleeps are over at once, and that remembers them. */
export class HastyClock extends ManualClock {
  readonly slept: number[] = [];

  override async sleep(ms: number): Promise<void> {
    this.slept.push(ms);
  }
}

/** A clock whose wall time can be set, as an administrator or a machine that slept does; what is monotonic stays so. */
export class SteppedClock extends ManualClock {
  #stepped = 0;

  override now(): number {
    return super.now() + this.#stepped;
  }

  step(ms: number): void {
    this.#stepped += ms;
  }
}

/** The system's, ten times as fast, where a test waits for what takes its time. */
export const hurriedClock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 10,
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};
