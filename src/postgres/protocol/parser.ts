import { HoldfastError } from '../../lib/index.ts';

/**
 * Takes one message. `payload` is a view into the bytes that were pushed, good only until the sink returns or, when it returns
 * a promise, until that promise is settled.
 */
export type MessageSink = (type: number, payload: Buffer) => void | Promise<void>;

/** Type byte and length. */
const HEADER_BYTES = 5;

/** A message that was cut by a read starts with this much room; it grows as bytes arrive, never by what a length claims. */
const CARRY_BYTES_INITIAL = 64 * 1024;

/**
 * Cuts a byte stream into protocol messages, whatever the split of the input.
 *
 * A message that lies whole in one push is handed on as a view of it; only one that is cut by the end of a push is copied.
 * When the sink returns a promise, `push` returns one too, and the pushed bytes must stay as they are until it is settled:
 * that is the back-pressure, as the socket is paused meanwhile.
 *
 * Errors: PG_PROTOCOL_VIOLATION for a length that is impossible or above `messageBytesMax`, or an unrecognized type.
 */
export class MessageParser {
  readonly #sink: MessageSink;
  #carry = Buffer.allocUnsafe(0);
  #carryLength = 0;
  #stopped = false;

  /** The longest message that is believed. Small while a server is not yet known, larger afterwards. */
  messageBytesMax: number;

  constructor(sink: MessageSink, messageBytesMax: number) {
    this.#sink = sink;
    this.messageBytesMax = messageBytesMax;
  }

  /** No message is handed on from now on, also none of a push that waits for the sink. */
  stop(): void {
    this.#stopped = true;
    this.#carry = Buffer.allocUnsafe(0);
    this.#carryLength = 0;
  }

  /** True when the bytes so far end inside a message. */
  get isInsideMessage(): boolean {
    return this.#carryLength > 0;
  }

  push(bytes: Buffer): void | Promise<void> {
    return this.#drain(bytes, 0);
  }

  #drain(bytes: Buffer, start: number): void | Promise<void> {
    let at = start;
    while (at < bytes.length && !this.#stopped) {
      let waiting: void | Promise<void>;
      if (this.#carryLength > 0) {
        at = this.#fillCarry(bytes, at);
        waiting = this.#handOnCarry();
      } else {
        const total = bytes.length - at < HEADER_BYTES ? 0 : this.#messageLength(bytes, at);
        if (total === 0 || bytes.length - at < total) {
          this.#keep(bytes, at, bytes.length);
          return;
        }
        const type = bytes[at] as number;
        waiting = this.#sink(type, bytes.subarray(at + HEADER_BYTES, at + total));
        at += total;
      }
      if (waiting !== undefined) {
        const next = at;
        return waiting.then(() => this.#drain(bytes, next));
      }
    }
  }

  /** Adds to the cut message what it lacks and returns where its bytes end in `bytes`. */
  #fillCarry(bytes: Buffer, at: number): number {
    let end = at;
    if (this.#carryLength < HEADER_BYTES) {
      end = Math.min(bytes.length, at + HEADER_BYTES - this.#carryLength);
      this.#keep(bytes, at, end);
      if (this.#carryLength < HEADER_BYTES) return end;
    }
    const missing = this.#messageLength(this.#carry, 0) - this.#carryLength;
    const stop = Math.min(bytes.length, end + missing);
    this.#keep(bytes, end, stop);
    return stop;
  }

  #handOnCarry(): void | Promise<void> {
    if (this.#carryLength < HEADER_BYTES) return;
    const total = this.#messageLength(this.#carry, 0);
    if (this.#carryLength < total) return;
    this.#carryLength = 0;
    return this.#sink(this.#carry[0] as number, this.#carry.subarray(HEADER_BYTES, total));
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const needed = this.#carryLength + to - from;
    if (needed > this.#carry.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#carry.length * 2, CARRY_BYTES_INITIAL));
      this.#carry.copy(grown, 0, 0, this.#carryLength);
      this.#carry = grown;
    }
    bytes.copy(this.#carry, this.#carryLength, from, to);
    this.#carryLength = needed;
  }

  /** The length of the message whose header lies at `at`, type byte included. */
  #messageLength(bytes: Buffer, at: number): number {
    const type = bytes[at] as number;
    const length = bytes.readInt32BE(at + 1);
    if (!isTypeByte(type) || length < 4 || length > this.messageBytesMax) {
      throw new HoldfastError('PG_PROTOCOL_VIOLATION', 'invalid message from the server', {
        detail:
          `Expected a letter as type and a length from 4 to ${this.messageBytesMax}, ` +
          `found type ${type} and length ${length}.`,
        hints: ['Check that a PostgreSQL server, and nothing else, listens there.'],
      });
    }
    return length + 1;
  }
}

/** Every backend message type is a letter or a digit (ParseComplete is '1'). */
function isTypeByte(type: number): boolean {
  return (type >= 0x30 && type <= 0x39) || (type >= 0x41 && type <= 0x5a) || (type >= 0x61 && type <= 0x7a);
}
