import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect as connectTls,
  type PeerCertificate,
  rootCertificates,
  type TLSSocket,
} from 'node:tls';
import { HoldfastError, messageOf } from '../../lib/index.ts';
import type { ConnectionTarget } from './target.ts';
import type { Transport, TransportReceiver } from './transport.ts';

/**
 * Puts TLS on a socket whose server has agreed to it, and checks the server as far as `sslmode` says: `require` not at all
 * (unless root certificates are given, then as `verify-ca`), `verify-ca` its chain, `verify-full` also its name.
 *
 * Errors: PG_TLS_FAILED.
 */
export function startTls(target: ConnectionTarget, socket: Socket, keepaliveDelayMs: number): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(tlsFailed(target, error));
    let secure: TLSSocket;
    try {
      secure = connectTls({ socket, ...verification(target), ALPNProtocols: ['postgresql'] });
    } catch (error) {
      return fail(error);
    }
    secure.setKeepAlive(true, keepaliveDelayMs);
    secure.once('error', fail);
    secure.once('close', () => fail(new Error('the server closed the connection')));
    secure.once('secureConnect', () => resolve(new TlsTransport(secure)));
  });
}

function verification(target: ConnectionTarget): ConnectionOptions {
  const { sslMode, sslRootCertificate, sslCertificate, sslKey } = target.parts;
  const options: ConnectionOptions = {
    rejectUnauthorized: sslMode === 'verify-ca' || sslMode === 'verify-full' || sslRootCertificate !== undefined,
  };
  if (sslRootCertificate !== undefined) {
    options.ca = sslRootCertificate === 'system' ? [...rootCertificates] : readFileSync(sslRootCertificate);
  }
  if (sslMode !== 'verify-full' && sslRootCertificate !== 'system') options.checkServerIdentity = () => undefined;
  if (sslCertificate !== undefined) options.cert = readFileSync(sslCertificate);
  if (sslKey !== undefined) options.key = readFileSync(sslKey);
  // The server may choose its certificate by the name asked for; an address is no name.
  if (isIP(target.host) === 0) options.servername = target.host;
  else options.host = target.host;
  return options;
}

class TlsTransport implements Transport {
  readonly isEncrypted = true;
  readonly certificateHash: Buffer | undefined;
  readonly #socket: TLSSocket;
  #receiver: TransportReceiver | undefined;
  #error: Error | undefined;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.certificateHash = hashCertificate(socket.getPeerCertificate());
    socket.removeAllListeners('error').removeAllListeners('close');
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => this.#receiver?.onClosed(this.#error));
    socket.on('data', (chunk: Buffer) => this.#receiver?.onBytes(chunk));
  }

  listen(receiver: TransportReceiver): void {
    this.#receiver = receiver;
  }

  write(bytes: Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/**
 * The hash of a certificate by the algorithm of its own signature, SHA-256 in place of MD5 and SHA-1.
 * Undefined where the algorithm names no hash (Ed25519), as no channel binding is defined for it.
 * Source: RFC 5929, section 4.1.
 */
function hashCertificate(certificate: PeerCertificate): Buffer | undefined {
  if (certificate.raw === undefined) return undefined;
  const { signatureAlgorithm } = new X509Certificate(certificate.raw);
  const name = /(md5|sha1|sha224|sha256|sha384|sha512)/i.exec(signatureAlgorithm ?? '')?.[1]?.toLowerCase();
  if (name === undefined) return undefined;
  const algorithm = name === 'md5' || name === 'sha1' ? 'sha256' : name;
  return createHash(algorithm).update(certificate.raw).digest();
}

function tlsFailed(target: ConnectionTarget, error: unknown): HoldfastError {
  return new HoldfastError('PG_TLS_FAILED', `cannot encrypt the connection to ${target.place}`, {
    detail: `TLS ended with: ${messageOf(error)}.`,
    hints: ['Check sslmode and sslrootcert, and that the certificate was made for this host name.'],
    cause: error,
  });
}
