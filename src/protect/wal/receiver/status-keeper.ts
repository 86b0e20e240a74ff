import type { Clock } from '../../../lib/index.ts';
import type { Repository } from '../../../repository/index.ts';
import {
  type ReceiverStatus,
  receiverStatusName,
  STATUS_INTERVAL_MS,
  writeReceiverStatus,
} from '../receiver-status.ts';

/** Tells under `volatile/` that a receiver runs and how far it is, again and again, and at the end that it does not run any more. */
export class StatusKeeper {
  readonly #options: {
    repository: Repository;
    clock: Clock;
    slot: string;
    cluster: string;
    temporary: boolean;
    tell: () => Omit<ReceiverStatus, 'running'> | null;
  };
  readonly #stop = new AbortController();
  #telling: Promise<void> | null = null;

  constructor(options: {
    repository: Repository;
    clock: Clock;
    slot: string;
    cluster: string;
    /** One that only helps a backup is not one that others may rely on: it tells what it knows when it ends. */
    temporary: boolean;
    tell: () => Omit<ReceiverStatus, 'running'> | null;
  }) {
    this.#options = options;
  }

  begin(): void {
    if (this.#options.temporary) return;
    this.#telling ??= this.#tellAgainAndAgain();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#telling;
    await this.#write(false);
  }

  async #tellAgainAndAgain(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#write(true);
      await this.#options.clock.sleep(STATUS_INTERVAL_MS, this.#stop.signal);
    }
  }

  async #write(running: boolean): Promise<void> {
    const { repository, slot, cluster, temporary, tell } = this.#options;
    const status = tell();
    if (status === null) return;
    const name = receiverStatusName({ system: status.system, cluster, slot: temporary ? 'temporary' : slot });
    try {
      await writeReceiverStatus(repository, name, { ...status, running, temporary });
    } catch {
      // Nobody needs a status to restore, and a store that is away is told of by the WAL that it does not take.
    }
  }
}
