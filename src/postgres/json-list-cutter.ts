import { ByteWriter } from '../lib/index.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
/** Stands in the rest of the text in the place of an object that was cut out. A word, so that it makes nothing valid with what is beside it. */
const PLACEHOLDER = Buffer.from('null');

/** How many objects are open around the list and the list itself. */
const LIST_DEPTH = 2;
/** A key is looked for so far before the bracket of its list; a server writes one space between them. */
const KEY_REACH_BYTES = 64;

/** Limits in bytes, beyond which a text is not what it should be and would only fill memory. */
const OBJECT_BYTES_MAX = 64 << 10;
const REST_BYTES_MAX = 1 << 20;
/** What the rest may have for each object that was cut out: the placeholder, a comma, a line's end. */
const REST_BYTES_PER_OBJECT_MAX = 8;

/**
 * Cuts the objects out of one list of a JSON text that arrives in pieces, so that neither the text nor the list is ever whole in memory.
 *
 * The list is the value of `key` in the outermost object. It only finds where objects begin and end: whether each of them, and what is left of the
 * text, is JSON is for whoever parses them. Bytes are UTF-8.
 */
export class JsonListCutter {
  readonly #key: RegExp;
  readonly #onObject: (text: string) => void;
  readonly #rest = new ByteWriter(4096);
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #isInList = false;
  #isInObject = false;
  /** The beginning of an object whose end did not come with the same piece. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  #count = 0;
  #isOverfull = false;

  constructor(options: { key: string; onObject: (text: string) => void }) {
    this.#key = new RegExp(`"${options.key}"\\s*:\\s*$`);
    this.#onObject = options.onObject;
  }

  /** Objects that were cut out. */
  get count(): number {
    return this.#count;
  }

  /** Whether an object, or what lies around the objects, was larger than anything that is looked for; nothing was cut out from then on. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  /** What is left of the text, with `null` for each object. */
  get rest(): string {
    return this.#rest.finish().toString('utf8');
  }

  push(bytes: Buffer): void {
    if (this.#isOverfull) return;
    // Where that begins in these bytes which was not handed on yet: a part of an object, or of the rest.
    let from = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#isInString) {
        this.#passString(byte);
        continue;
      }
      switch (byte) {
        case QUOTE:
          this.#isInString = true;
          break;
        case OPEN_BRACE:
          if (this.#isInList && this.#depth === LIST_DEPTH) {
            this.#keepRest(bytes.subarray(from, at));
            from = at;
            this.#isInObject = true;
          }
          this.#depth += 1;
          break;
        case OPEN_BRACKET:
          this.#depth += 1;
          if (this.#depth === LIST_DEPTH) this.#isInList = this.#isKeyBefore(bytes.subarray(from, at));
          break;
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          this.#depth -= 1;
          if (this.#depth < LIST_DEPTH) this.#isInList = false;
          if (this.#isInObject && this.#depth === LIST_DEPTH) {
            this.#endObject(bytes.subarray(from, at + 1));
            from = at + 1;
          }
      }
    }
    if (this.#isInObject) this.#keepBegun(bytes.subarray(from));
    else this.#keepRest(bytes.subarray(from));
  }

  #passString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) this.#isInString = false;
  }

  #isKeyBefore(newest: Buffer): boolean {
    const before = newest.length < KEY_REACH_BYTES ? Buffer.concat([this.#rest.finish(), newest]) : newest;
    return this.#key.test(before.toString('latin1', Math.max(0, before.length - KEY_REACH_BYTES)));
  }

  #endObject(last: Buffer): void {
    const text = this.#begun.length === 0 ? last : Buffer.concat([...this.#begun, last]);
    this.#begun = [];
    this.#begunBytes = 0;
    this.#isInObject = false;
    this.#count += 1;
    this.#rest.bytes(PLACEHOLDER);
    this.#onObject(text.toString('utf8'));
  }

  #keepBegun(part: Buffer): void {
    this.#begunBytes += part.length;
    if (this.#begunBytes > OBJECT_BYTES_MAX) this.#isOverfull = true;
    else this.#begun.push(Buffer.from(part));
  }

  #keepRest(part: Buffer): void {
    const max = REST_BYTES_MAX + this.#count * REST_BYTES_PER_OBJECT_MAX;
    if (this.#rest.length + part.length > max) this.#isOverfull = true;
    else this.#rest.bytes(part);
  }
}
