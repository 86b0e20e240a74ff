import { createHash, X509Certificate } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect as connectTls,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls';
import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { applyKeepalive } from './keepalive.ts';
import type { ConnectionTarget } from './target.ts';
import { readTlsMaterial } from './tls-files.ts';
import { type Transport, type TransportReceiver, untilDrained } from './transport.ts';

/** The name of PostgreSQL's protocol inside TLS. Servers from 17 on know it. */
const PROTOCOL_NAME = 'postgresql';

/**
 * Puts TLS on a socket whose server has agreed to it, or with sslnegotiation=direct expects it, and checks the server as far as
 * `sslmode` says: `require` not at all unless root certificates are known, then as `verify-ca`; `verify-ca` its chain,
 * `verify-full` also its name.
 *
 * Errors: PG_CERTIFICATE_REFUSED (the server's), PG_TLS_FILE_UNUSABLE, PG_TLS_FAILED.
 */
export function startTls(target: ConnectionTarget, socket: Socket): Promise<Transport> {
  const options = tlsOptions(target);
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(tlsError(target, error));
    let secure: TLSSocket;
    try {
      secure = connectTls({ socket, ...options, ALPNProtocols: [PROTOCOL_NAME] });
    } catch (error) {
      return fail(error);
    }
    applyKeepalive(secure, target);
    secure.once('error', fail);
    secure.once('close', () => fail(new Error('the server closed the connection')));
    secure.once('secureConnect', () => {
      // Without the name of the protocol, what was meant for another kind of server could be turned to this one.
      if (target.parts.tls?.negotiation === 'direct' && secure.alpnProtocol !== PROTOCOL_NAME) {
        return fail(new Error('the server did not agree to speak PostgreSQL inside TLS'));
      }
      resolve(new TlsTransport(secure));
    });
  });
}

function tlsOptions(target: ConnectionTarget): ConnectionOptions {
  const { sslMode, tls } = target.parts;
  const [{ host }] = target.servers;
  if (sslMode === 'verify-full' && host === '') {
    throw new HoldfastError('PG_CERTIFICATE_REFUSED', `cannot check the name of ${target.place}: it has none`, {
      detail: 'sslmode is "verify-full", and only hostaddr was given.',
      hints: ['Give the name of the server as host, besides hostaddr.'],
    });
  }
  const { ca, crl, cert, key } = readTlsMaterial(target);
  const options: ConnectionOptions = {
    rejectUnauthorized: ca !== undefined,
    // The name is checked against what was asked for, whatever name was said to the server.
    checkServerIdentity: (_, certificate) =>
      sslMode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
  };
  if (ca !== undefined) options.ca = ca;
  if (crl !== undefined) options.crl = crl;
  if (cert !== undefined) options.cert = cert;
  if (key !== undefined) options.key = key;
  if (tls?.versionMin !== undefined) options.minVersion = tls.versionMin;
  if (tls?.versionMax !== undefined) options.maxVersion = tls.versionMax;
  // The server, or a proxy before it, may choose its certificate by the name asked for; an address is no name.
  if (tls?.sendsName !== false && host !== '' && isIP(host) === 0) options.servername = host;
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

  drained(): void | Promise<void> {
    return untilDrained(this.#socket);
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

/** What is wrong with a server's certificate, by OpenSSL's and Node's names; those that are missing are about its issuer. */
const CERTIFICATE_FAULTS: Readonly<Record<string, readonly [string, string]>> = {
  CERT_HAS_EXPIRED: ['it has expired', 'Renew the certificate of the server, and have the server reload it.'],
  CERT_NOT_YET_VALID: ['it is not valid yet', 'Check the clock of this machine, and the certificate of the server.'],
  CERT_REVOKED: [
    'it was revoked',
    'Give the server another certificate; the key of this one may be in the wrong hands.',
  ],
  CRL_HAS_EXPIRED: ['the revocation list has expired', 'Fetch the list of the authority anew (sslcrl, sslcrldir).'],
  UNABLE_TO_GET_CRL: [
    'there is no revocation list of its issuer',
    'Add the list of each authority (sslcrl, sslcrldir).',
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'it was made for another name',
    'Connect by a name that stands in the certificate, or have one made for this name.',
  ],
};

const ISSUER_FAULTS = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
]);

function tlsError(target: ConnectionTarget, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const code = codeOf(error) ?? '';
  const [fault, hint] = CERTIFICATE_FAULTS[code] ?? [
    'its issuer is not trusted',
    'Check that sslrootcert holds the authority that issued it; the server has to send what lies between.',
  ];
  if (code in CERTIFICATE_FAULTS || ISSUER_FAULTS.has(code)) {
    return new HoldfastError('PG_CERTIFICATE_REFUSED', `refused the certificate of ${target.place}: ${fault}`, {
      detail: `TLS ended with: ${messageOf(error)} (${code}).`,
      hints: [hint],
      cause: error,
    });
  }
  return new HoldfastError('PG_TLS_FAILED', `cannot encrypt the connection to ${target.place}`, {
    detail: `TLS ended with: ${messageOf(error)}.`,
    hints: [
      target.parts.tls?.negotiation === 'direct'
        ? 'sslnegotiation=direct needs PostgreSQL 17 or later; leave it out for older servers.'
        : 'Check ssl_min_protocol_version and ssl_max_protocol_version here and on the server.',
    ],
    cause: error,
  });
}
