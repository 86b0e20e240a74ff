import { MessageParser } from '../protocol/index.ts';
import type { Transport } from './transport.ts';

/**
 * Takes the messages of a channel. What `onMessage` throws, or rejects with, ends the channel. When the channel has ended, one
 * of the other two is called, once.
 */
export interface MessageReceiver {
  onMessage(type: number, payload: Buffer): void | Promise<void>;
  /** The other side closed the link (`error` undefined), or the link broke. */
  onLinkLost(error: Error | undefined): void;
  /** The channel was ended from here, by `destroy` or by a receiver that threw `reason`. */
  onDestroyed(reason: unknown): void;
}

/**
 * A transport that carries whole messages. While a receiver's promise is open, the socket is paused: the bytes behind the
 * message stay in the receive buffer, the kernel's buffer fills, and the server waits.
 */
export class MessageChannel {
  readonly transport: Transport;
  readonly #parser: MessageParser;
  #receiver: MessageReceiver | undefined;
  #isOpen = true;

  constructor(transport: Transport, messageBytesMax: number) {
    this.transport = transport;
    this.#parser = new MessageParser((type, payload) => this.#receiver?.onMessage(type, payload), messageBytesMax);
    transport.listen({ onBytes: (view) => this.#onBytes(view), onClosed: (error) => this.#close()?.onLinkLost(error) });
  }

  /** From now on `receiver` gets the messages, instead of the one before. */
  listen(receiver: MessageReceiver): void {
    this.#receiver = receiver;
  }

  set messageBytesMax(bytes: number) {
    this.#parser.messageBytesMax = bytes;
  }

  send(message: Uint8Array): void {
    this.transport.write(message);
  }

  /** Settled when more may be sent without filling memory, or when the link is gone. */
  drained(): void | Promise<void> {
    return this.transport.drained();
  }

  /** Ends the channel at once; the receiver hears of it with `reason`. */
  destroy(reason: unknown): void {
    this.#close()?.onDestroyed(reason);
    this.transport.destroy();
  }

  #onBytes(view: Buffer): void {
    let waiting: void | Promise<void>;
    try {
      waiting = this.#parser.push(view);
    } catch (error) {
      this.destroy(error);
      return;
    }
    if (waiting === undefined) return;
    this.transport.pause();
    waiting.then(
      () => this.transport.resume(),
      (error) => this.destroy(error),
    );
  }

  /** Gives the receiver that has to be told, the first time only. */
  #close(): MessageReceiver | undefined {
    if (!this.#isOpen) return undefined;
    this.#isOpen = false;
    this.#parser.stop();
    return this.#receiver;
  }
}
