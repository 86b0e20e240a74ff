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
