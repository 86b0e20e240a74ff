import type { HoldfastError } from '../lib/index.ts';
import { PRIMARY } from '../plan/index.ts';
import type { CopyEvent } from '../repository/index.ts';
import type { Json } from './output/index.ts';
import type { Reporter } from './reporter.ts';

/** Tells of places that are away or damaged while a command works, once each, and remembers those that are away for its document. */
export class PlaceTrouble {
  readonly #reporter: Pick<Reporter, 'say' | 'emit'>;
  readonly #away = new Map<string, HoldfastError>();

  constructor(reporter: Pick<Reporter, 'say' | 'emit'>) {
    this.#reporter = reporter;
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

  /** WAL that an outage left on this machine. */
  tellWaiting(count: number, directory: string): void {
    const objects = count === 1 ? '1 object' : `${count} objects`;
    const what = `may lack the newest WAL: ${objects} of it wait in "${directory}" of this machine, until holdfast wal stream has handed them over`;
    this.#announce('waiting', PRIMARY, what, { objects: count });
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
  return name === PRIMARY ? 'the primary' : `copy "${name}"`;
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
