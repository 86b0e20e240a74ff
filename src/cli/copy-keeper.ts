import { type Clock, formatDuration, formatQuantity, type Progress } from '../lib/index.ts';
import type { CopiedStore, CopyState } from '../repository/index.ts';
import type { Json, Paint } from './output/index.ts';

/** A backup is done when it is stored; so long it waits for copies to have it too, as long as they get on with it. */
const SETTLE_MS_MAX = 10 * 60_000;
/** Other commands write little: so long each waits for copies at its end. What is left is found by whoever writes next. */
export const SETTLE_BRIEFLY_MS_MAX = 10_000;
/** How often it is asked whether they do. */
const ASK_MS = 1_000;

/** The copies of an opened repository, as commands that write look after them. Without copies nothing of it does anything. */
export class CopyKeeper {
  readonly #store: CopiedStore | null;
  readonly #clock: Clock;
  readonly #progress: Progress;

  constructor(options: { store: CopiedStore | null; clock: Clock; progress: Progress }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#progress = options.progress;
  }

  /** Before anything is put: whether every copy that answers is one of this repository. Errors: `REPOSITORY_COPY_FOREIGN`. */
  async check(): Promise<void> {
    await this.#store?.checkCopies();
  }

  /** Begins to bring what copies lack, beside all else. */
  beginCatchUp(): void {
    this.#store?.beginCatchUp();
  }

  /** Waits until every copy that answers has all that the primary has, or for so long, and gives how they stand. */
  async settle(signal: AbortSignal, msMax = SETTLE_MS_MAX): Promise<readonly CopyState[]> {
    if (this.#store === null || signal.aborted) return this.#store?.copyStates ?? [];
    this.#progress.begin('bringing it to the copies');
    const begun = this.#clock.monotonic();
    let brought = 0;
    for (;;) {
      const states = await this.#store.settled({ msMax: ASK_MS });
      const bytes = states.reduce((sum, state) => sum + state.bytes, 0);
      this.#progress.advance(bytes - brought);
      brought = bytes;
      const isOver = this.#clock.monotonic() - begun > msMax || signal.aborted;
      if (isOver || states.every(({ state }) => state !== 'unknown' && state !== 'catching-up')) return states;
    }
  }
}

export function copyStateDocument({ name, required, state, waiting, waitingSince }: CopyState, now: number): Json {
  const waitingSeconds = waitingSince === null ? null : Math.max(0, now - waitingSince) / 1000;
  return { name, required, state, waiting, waitingSeconds };
}

/** `west has it too`, for the facts of a result. */
export function describeCopyState(
  { name, state, waiting, waitingSince }: CopyState,
  now: number,
  paint: Paint,
): string {
  switch (state) {
    case 'in-step':
      return paint.good(`"${name}" has it, too`);
    case 'away':
      return paint.warning(`"${name}" is away, and catches up when it is back`);
    case 'foreign':
      return paint.bad(`"${name}" is no copy of this repository`);
    default: {
      const since = waitingSince === null ? '' : `, the oldest for ${formatDuration(Math.max(0, now - waitingSince))}`;
      return paint.warning(`"${name}" is behind: ${formatQuantity(waiting, 'object')} on the way${since}`);
    }
  }
}
