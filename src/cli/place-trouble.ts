import { type Clock, formatDuration, type HoldfastError } from '../lib/index.ts';
import { PRIMARY } from '../plan/index.ts';
import type { CopyEvent, Retry } from '../repository/index.ts';
import { WAITING_NAME } from './open-places.ts';
import type { Json } from './output/index.ts';
import type { Reporter } from './reporter.ts';
import { describeWaiting, type UnreadWal } from './waiting-wal.ts';

/** What is over sooner is told by how it ends: nobody has begun to wonder. */
const PATIENCE_MS = 5_000;
/** So long nothing more is said of tries of the same place: many calls fail together, and each would say the same. */
const SAME_TRIES_MS = 60_000;

/** Tells of places that are away or damaged while a command works, once each, and remembers those that are away for its document. */
export class PlaceTrouble {
  readonly #reporter: Pick<Reporter, 'say' | 'emit'>;
  readonly #clock: Clock;
  readonly #away = new Map<string, HoldfastError>();
  /** When it was said last that a place is tried again. */
  readonly #retriedAt = new Map<string, number>();

  constructor(reporter: Pick<Reporter, 'say' | 'emit'>, clock: Clock) {
    this.#reporter = reporter;
    this.#clock = clock;
  }

  readonly tell = (event: CopyEvent): void => {
    switch (event.kind) {
      case 'place-away':
      case 'foreign': {
        // Opening a command may have told it already.
        if (this.#away.get(event.place)?.code === event.error.code) return;
        this.#away.set(event.place, event.error);
        this.#announce(event.kind, event.place, `is not used: ${event.error.message}`, { code: event.error.code });
        return;
      }
      case 'place-back':
        this.#away.delete(event.place);
        this.#announce(event.kind, event.place, 'answers again', {});
        return;
      case 'damaged': {
        const healthy = event.healthy === null ? '' : `; it was read from ${nameOfPlace(event.healthy)}`;
        const found = `has "${event.name}" damaged: ${event.error.message}${healthy}`;
        this.#announce(event.kind, event.place, found, { object: event.name, healthy: event.healthy });
        return;
      }
      case 'missing': {
        const found = `lacks "${event.name}"; it was read from ${nameOfPlace(event.healthy)}`;
        this.#announce(event.kind, event.place, found, { object: event.name, healthy: event.healthy });
        return;
      }
      case 'differs': {
        const found = `has other bytes under "${event.name}" than the primary; they were left alone`;
        this.#announce(event.kind, event.place, found, { object: event.name });
        return;
      }
      // What goes well is no trouble: an object a second would drown all else.
      case 'copied':
      case 'in-step':
        return;
    }
  };

  /** A call that is tried again: without a word a command would seem to hang. */
  readonly tellRetry = (place: string, { error, triesLeft, msMax }: Retry): void => {
    const now = this.#clock.monotonic();
    const saidAt = this.#retriedAt.get(place);
    if (msMax < PATIENCE_MS || (saidAt !== undefined && now - saidAt < SAME_TRIES_MS)) return;
    this.#retriedAt.set(place, now);
    const what = `is tried again, for ${formatDuration(msMax)} at most: ${error.message}`;
    this.#announce('retrying', place, what, { code: error.code, triesLeft, secondsMax: msMax / 1000 });
  };

  /** WAL that an outage left on this machine, and that can neither be handed over nor read. */
  tellWaiting(waiting: UnreadWal): void {
    const { objects, directory, reason } = waiting;
    const what = `may lack the newest WAL: ${describeWaiting(waiting)} in "${directory}" of this machine (${reason})`;
    this.#announce('waiting', PRIMARY, what, { objects });
  }

  /** What a document says of the places that did not answer; nothing where all did. */
  get document(): { readonly [key: string]: Json } {
    if (this.#away.size === 0) return {};
    const placesAway = [...this.#away].map(([place, { code, message }]) => ({ place, code, message }));
    return { placesAway };
  }

  #announce(kind: string, place: string, what: string, facts: Readonly<Record<string, Json>>): void {
    this.#reporter.emit('place', { kind, place, message: what, ...facts });
    this.#reporter.say((paint) => [`${paint.warning('!')} ${upperFirst(nameOfPlace(place))} ${what}.`]);
  }
}

/** A place in a sentence. */
export function nameOfPlace(name: string): string {
  if (name === WAITING_NAME) return `the ${WAITING_NAME}`;
  return name === PRIMARY ? 'the primary' : `copy "${name}"`;
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
