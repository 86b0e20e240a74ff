import { type Clock, HoldfastError } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import type { Announcer } from './announcer.ts';

/** Often enough that a new epoch protects soon, rare enough to cost one request in minutes. */
const KEYS_INTERVAL_MS = 2 * 60_000;

/** Takes in new epochs while WAL streams, and tells when one was begun that this key was not given. */
export class KeysKeeper {
  readonly #options: { repository: Repository; clock: Clock; announcer: Announcer };
  readonly #stop = new AbortController();
  #looking: Promise<void> | null = null;

  constructor(options: { repository: Repository; clock: Clock; announcer: Announcer }) {
    this.#options = options;
  }

  begin(): void {
    this.#looking ??= this.#lookAgainAndAgain();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#looking;
  }

  /** Looks once. WAL goes on with the old epoch whatever is found, as nobody is served by WAL that is not kept. */
  async look(): Promise<void> {
    const { repository, announcer } = this.#options;
    try {
      if ((await repository.refreshKeys()) === 'left-behind') announcer.alarmOnce('keys', leftBehind(repository));
      else if (announcer.isOver('keys')) announcer.emit({ kind: 'recovered', alarm: 'keys' });
    } catch (error) {
      // A store that is away is told of by the WAL that it does not take.
      if (!(error instanceof HoldfastError) || error.code.startsWith('STORE_')) return;
      announcer.alarmOnce('keys', { alarm: 'keys', error });
    }
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(KEYS_INTERVAL_MS, signal);
      if (!signal.aborted) await this.look();
    }
  }
}

function leftBehind({ slot, keys }: Repository): { alarm: 'keys'; error: HoldfastError } {
  return {
    alarm: 'keys',
    error: new HoldfastError('KEY_EPOCH_BEHIND', `the key slot "${slot}" was left out of a new epoch`, {
      detail: `WAL goes on to be sealed with epoch ${keys.currentEpoch}, which whoever the new one was to keep out may have.`,
      hints: ['Start the receiver with a key that has the newest epoch; `holdfast keys list` says which have.'],
    }),
  };
}
