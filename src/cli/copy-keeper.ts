import { type Clock, formatDuration, formatQuantity, type Progress } from '../lib/index.ts';
import type { CopiedStore, CopyState } from '../repository/index.ts';
import type { Json, Paint } from './output/index.ts';

/** A backup is done when it is stored; so long it waits for copies to have it too, as long as they get on with it. */
const SETTLE_MS_MAX = 10 * 60_000;
/** Other commands write little: so long each waits for copies at its end. What is left is found by whoever writes next. */
export const SETTLE_BRIEFLY_MS_MAX = 10_000;
/** How often it is asked whether they do. */
const ASK_MS = 1_000;
/** What is over sooner needs no line of its own. */
const NOTICED_MS = 300;

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
    const begun = this.#clock.monotonic();
    // What was brought beside the work is no part of the stage, which is one only where there is something to wait for.
    let brought = bytesOf(this.#store.copyStates);
    let states = await this.#store.settled({ msMax: NOTICED_MS });
    if (isSettled(states)) return states;
    this.#progress.begin('bringing it to the copies');
    for (;;) {
      const bytes = bytesOf(states);
      this.#progress.advance(bytes - brought);
      brought = bytes;
      if (isSettled(states) || signal.aborted || this.#clock.monotonic() - begun > msMax) return states;
      states = await this.#store.settled({ msMax: ASK_MS });
    }
  }
}

function isSettled(states: readonly CopyState[]): boolean {
  return states.every(({ state }) => state !== 'unknown' && state !== 'catching-up');
}

/** What all copies have got from this process. */
function bytesOf(states: readonly CopyState[]): number {
  return states.reduce((sum, state) => sum + state.bytes, 0);
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
