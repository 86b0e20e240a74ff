import { synchronousByWildcard } from './alarms.ts';
import type { Announcer } from './announcer.ts';
import type { ServerReport } from './server-watch.ts';

/** Knows whether commits wait for the receiver, as the server said last, and tells when only `*` chose it (rule C3). */
export class SynchronousKeeper {
  readonly #applicationName: string;
  readonly #announcer: Announcer;
  #synchronous: boolean | null = null;

  constructor(applicationName: string, announcer: Announcer) {
    this.#applicationName = applicationName;
    this.#announcer = announcer;
  }

  /** `null` while it is not known. */
  get synchronous(): boolean | null {
    return this.#synchronous;
  }

  /** As long as nothing is known, commits may be waiting. */
  get mayCommitsWait(): boolean {
    return this.#synchronous !== false;
  }

  heard({ synchronous, mention }: ServerReport): void {
    this.#synchronous = synchronous;
    if (synchronous && mention === 'wildcard') {
      const error = synchronousByWildcard(this.#applicationName);
      this.#announcer.alarmOnce('synchronous-by-wildcard', { alarm: 'synchronous-by-wildcard', error });
    } else if (this.#announcer.isOver('synchronous-by-wildcard')) {
      this.#announcer.emit({ kind: 'recovered', alarm: 'synchronous-by-wildcard' });
    }
  }

  /** The connection is gone, and what was said with it. */
  forget(): void {
    this.#synchronous = null;
  }
}
