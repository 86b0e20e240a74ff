import { connect as connectSocket, type NetConnectOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { connectError } from '../postgres-error.ts';
import { parseServerReport, sslRequest } from '../protocol/index.ts';
import { applyKeepalive } from './keepalive.ts';
import type { ConnectionTarget } from './target.ts';
import { startTls } from './tls.ts';

/** What a socket does, as far as a conversation needs it. Bytes arrive at the receiver given to `listen`. */
export interface Transport {
  /** True under TLS. */
  readonly isEncrypted: boolean;
  /** The hash of the server's certificate for SCRAM's channel binding, when there is TLS. */
  readonly certificateHash: Buffer | undefined;
  /** Hands every byte that arrives to `receiver`; a view is good until the receiver returns, or until `resume` after `pause`. */
  listen(receiver: TransportReceiver): void;
  write(bytes: Uint8Array): void;
  /** Settled when so much of what was written is on its way that more may be written, or when the connection is closed. */
  drained(): void | Promise<void>;
  /** After this returns, no more bytes are handed over and the last view stays as it is. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then ends the connection. */
  end(): void;
  destroy(): void;
}

export interface TransportReceiver {
  onBytes(view: Buffer): void;
  /** Called once: `error` is undefined when the other side closed in good order. */
  onClosed(error: Error | undefined): void;
}

/** All received bytes land here; large enough that one read takes all that a kernel buffer holds. */
const RECEIVE_BUFFER_BYTES = 512 * 1024;

/** What a path of a Unix socket may have at most, with the zero byte behind it. */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * How one attempt begins: in the clear, with TLS, or with TLS if the server offers it.
 */
export type Encryption = 'none' | 'required' | 'offered';

/**
 * Opens a socket to the only server of the target and puts TLS on it as asked. Gives up with the reason of `signal` when that is
 * aborted.
 *
 * Errors: PG_CONNECTION_REFUSED, PG_CONNECTION_CLOSED, PG_SOCKET_PATH_TOO_LONG, PG_TLS_REFUSED; those of
 *         `startTls`; what the server reports instead of an answer about TLS.
 */
export async function openTransport(
  target: ConnectionTarget,
  encryption: Encryption,
  signal: AbortSignal,
): Promise<Transport> {
  signal.throwIfAborted();
  if (target.isLocal) checkSocketPath(target.socketPath);
  const plain = new SocketTransport(target);
  const settled = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: settled.signal });
  });
  try {
    return await Promise.race([negotiate(target, encryption, plain), aborted]);
  } catch (error) {
    plain.destroy();
    throw error;
  } finally {
    settled.abort();
  }
}

async function negotiate(target: ConnectionTarget, encryption: Encryption, plain: SocketTransport): Promise<Transport> {
  await plain.connected();
  if (encryption === 'none') return plain;
  if (target.parts.tls?.negotiation === 'direct') return startTls(target, plain.socket);
  const answer = await plain.ask(sslRequest());
  const text = answer.toString('latin1', 0, 1);
  if (text === 'E') throw connectError(parseServerReport(answer.subarray(5)), target.place);
  // More than the one byte before TLS could be bytes that someone on the way slipped in.
  if (answer.length === 1 && text === 'S') return await startTls(target, plain.socket);
  if (answer.length === 1 && text === 'N') {
    if (encryption === 'offered') return plain;
    throw new HoldfastError('PG_TLS_REFUSED', `cannot encrypt the connection to ${target.place}`, {
      detail: `The server does not offer TLS, and sslmode is ${target.parts.sslMode}.`,
      hints: [
        'Set ssl = on on the server.',
        'Use sslmode=prefer or sslmode=disable where the network itself is trusted.',
      ],
    });
  }
  throw new HoldfastError('PG_PROTOCOL_VIOLATION', `invalid answer from ${target.place} to the request for TLS`, {
    detail: `Expected the one byte S or N, found ${answer.length} bytes.`,
    hints: ['Check that a PostgreSQL server, and nothing else, listens there.'],
  });
}

function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return;
  throw new HoldfastError('PG_SOCKET_PATH_TOO_LONG', `cannot connect to a Unix socket at "${path}"`, {
    detail: `Expected a path of at most ${SOCKET_PATH_BYTES_MAX} bytes, found ${bytes}.`,
  });
}

/** Node.js and the system begin the abstract namespace with a zero byte, PostgreSQL writes '@'. */
function addressOf(target: ConnectionTarget): { path: string } | { host: string; port: number } {
  if (target.isLocal) return { path: target.socketPath.replace(/^@/, '\0') };
  const [{ host, hostAddress, port }] = target.servers;
  return { host: hostAddress ?? host, port };
}

/** A socket in the clear, read through one buffer that is used again for every read. */
class SocketTransport implements Transport {
  readonly isEncrypted = false;
  readonly certificateHash = undefined;
  readonly socket: Socket;
  readonly #target: ConnectionTarget;
  #receiver: TransportReceiver | undefined;
  #error: Error | undefined;

  constructor(target: ConnectionTarget) {
    this.#target = target;
    this.socket = connectSocket({
      ...addressOf(target),
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES),
        callback: (length: number, buffer: Uint8Array): boolean => {
          this.#receiver?.onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    } as NetConnectOpts);
    applyKeepalive(this.socket, target);
    this.socket.on('error', (error) => {
      this.#error = error;
    });
    this.socket.on('close', () => this.#receiver?.onClosed(this.#error));
  }

  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.listen({
        onBytes: () => {},
        onClosed: (error) => reject(unreachableServer(this.#target, error)),
      });
    });
  }

  /** Sends one request and takes the first bytes that come back as its answer. */
  ask(request: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.listen({
        onBytes: (view) => {
          this.pause();
          resolve(Buffer.from(view));
        },
        onClosed: (error) => reject(unreachableServer(this.#target, error)),
      });
      this.write(request);
      this.socket.resume();
    });
  }

  listen(receiver: TransportReceiver): void {
    this.#receiver = receiver;
  }

  write(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  drained(): void | Promise<void> {
    return untilDrained(this.socket);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** Settled when the socket takes more, or never will: then `onClosed` tells why. */
export function untilDrained(socket: Duplex): void | Promise<void> {
  if (!socket.writableNeedDrain || socket.destroyed) return;
  return new Promise((resolve) => {
    const settle = () => {
      socket.off('drain', settle);
      socket.off('close', settle);
      resolve();
    };
    socket.on('drain', settle);
    socket.on('close', settle);
  });
}

/** Why a server could not be reached. */
function unreachableServer(target: ConnectionTarget, cause: Error | undefined): HoldfastError {
  const code = codeOf(cause);
  const why =
    cause === undefined ? 'The server closed the connection at once.' : `The system said: ${messageOf(cause)}.`;
  if (cause === undefined || code === 'ECONNRESET' || code === 'EPIPE') {
    return new HoldfastError(
      'PG_CONNECTION_CLOSED',
      `could not connect to ${target.place}: the connection was closed`,
      {
        detail: why,
        hints: [
          'Check that the server listens there, that nothing between here and there ends connections, and its log.',
        ],
        retryable: true,
        cause,
      },
    );
  }
  return new HoldfastError('PG_CONNECTION_REFUSED', `could not connect to ${target.place}`, {
    detail: why,
    hints: ['Check that the server runs and listens there.'],
    retryable: true,
    cause,
  });
}
