import type { PostgresConnection } from '../../../postgres/index.ts';
import { type WatchOptions, watchServer } from './server-watch.ts';

/** Keeps one watch beside the connection that streams, for as long as that lasts. */
export class WatchKeeper {
  readonly #onFailure: (error: unknown) => void;
  #watch: {
    readonly connection: PostgresConnection;
    readonly stop: AbortController;
    readonly ended: Promise<void>;
  } | null = null;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Begins to watch the server of a connection, unless that is watched already. `options.signal` ends it, too. */
  start(connection: PostgresConnection, options: WatchOptions): void {
    if (this.#watch?.connection === connection) return;
    const stop = new AbortController();
    const ended = watchServer({ ...options, signal: AbortSignal.any([stop.signal, options.signal]) });
    this.#watch = { connection, stop, ended };
    ended.catch(this.#onFailure);
  }

  async end(): Promise<void> {
    const watch = this.#watch;
    this.#watch = null;
    watch?.stop.abort();
    await watch?.ended.catch(() => {}); // Its failure was taken up when it came.
  }
}
