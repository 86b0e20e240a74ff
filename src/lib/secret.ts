import { inspect } from 'node:util';

/**
 * A text that must not be seen by accident: printing, logging or writing it as JSON gives `<secret>`.
 * Only `reveal` gives the text, to be called where it is used and nowhere before.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return '<secret>';
  }

  toJSON(): string {
    return '<secret>';
  }

  [inspect.custom](): string {
    return '<secret>';
  }
}
