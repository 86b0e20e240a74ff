import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { HoldfastError } from '../../lib/index.ts';

const deriveKey = promisify(pbkdf2);

/** A server may ask for as many rounds as it likes; above this (about a second of work) it is taken for an attack. */
const ITERATIONS_MAX = 2_000_000;

/** Bytes of randomness in the client's nonce, as libpq has it. */
const NONCE_BYTES = 18;

/**
 * How the TLS link below is bound into the proof: not at all, not because the server did not offer it, or by the hash of the
 * server's certificate.
 */
export type ChannelBinding =
  | { readonly kind: 'none' | 'not-offered' }
  | { readonly kind: 'tls-server-end-point'; readonly certificateHash: Uint8Array };

/** What is said of channel binding at the beginning (RFC 5802, section 6), and proved at the end. */
const HEADERS = { none: 'n,,', 'not-offered': 'y,,', 'tls-server-end-point': 'p=tls-server-end-point,,' } as const;

/**
 * The client's half of one SCRAM-SHA-256 conversation: `first`, then `respond`, then `finish`, once each.
 *
 * `finish` proves the server: one that does not know the password's verifier is refused, so that a stand-in cannot take our
 * data. The password is prepared with Unicode NFKC, which for all but exotic passwords is what SASLprep gives.
 *
 * Errors: PG_SCRAM_INVALID for a message that breaks the protocol, PG_SERVER_NOT_TRUSTED for a wrong server signature.
 * Source: RFC 5802, RFC 7677; PostgreSQL manual, "SASL Authentication".
 */
export class ScramExchange {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';
  readonly #password: string;
  readonly #binding: ChannelBinding;
  readonly #header: string;
  readonly #nonce: string;
  #expectedSignature: Buffer | undefined;

  /** `nonce` is given only by tests that check a published example. */
  constructor(password: string, binding: ChannelBinding = { kind: 'none' }, nonce?: string) {
    this.#password = password.normalize('NFKC');
    this.#binding = binding;
    this.#header = HEADERS[binding.kind];
    this.mechanism = binding.kind === 'tls-server-end-point' ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256';
    this.#nonce = nonce ?? randomBytes(NONCE_BYTES).toString('base64');
  }

  /** The client's first message. The user name stays empty: the server takes the one of the start-up message. */
  first(user = ''): string {
    return `${this.#header}n=${user},r=${this.#nonce}`;
  }

  /** Answers the server's first message with the proof. */
  async respond(serverFirst: string, user = ''): Promise<string> {
    const { nonce, salt, iterations } = parseServerFirst(serverFirst, this.#nonce);
    const salted = await deriveKey(this.#password, salt, iterations, 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const storedKey = createHash('sha256').update(clientKey).digest();
    const withoutProof = `c=${this.#channelBindingData()},r=${nonce}`;
    const authMessage = `n=${user},r=${this.#nonce},${serverFirst},${withoutProof}`;
    const clientSignature = hmac(storedKey, authMessage);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (clientSignature[index] as number)));
    this.#expectedSignature = hmac(hmac(salted, 'Server Key'), authMessage);
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /** Checks the server's last message. */
  finish(serverFinal: string): void {
    const signature = /^v=([A-Za-z0-9+/=]+)(?:,|$)/.exec(serverFinal)?.[1];
    if (signature === undefined || this.#expectedSignature === undefined) {
      throw invalidScram('Expected a server signature at the end of the conversation.');
    }
    const given = Buffer.from(signature, 'base64');
    if (given.length !== this.#expectedSignature.length || !timingSafeEqual(given, this.#expectedSignature)) {
      throw new HoldfastError('PG_SERVER_NOT_TRUSTED', 'the server could not prove that it knows the password', {
        detail: 'Its SCRAM signature is wrong, so that it may be another server in the place of the right one.',
        hints: ['Check the host name, and that nothing stands between here and the server.'],
      });
    }
  }

  #channelBindingData(): string {
    const header = Buffer.from(this.#header, 'latin1');
    if (this.#binding.kind !== 'tls-server-end-point') return header.toString('base64');
    return Buffer.concat([header, this.#binding.certificateHash]).toString('base64');
  }
}

/** Shape: 'r=' nonce that begins with ours ',s=' base64 salt ',i=' rounds, extensions allowed after. */
function parseServerFirst(message: string, ownNonce: string): { nonce: string; salt: Buffer; iterations: number } {
  const match = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([0-9]{1,9})(?:,|$)/.exec(message);
  if (match === null) throw invalidScram('Expected a nonce, a salt and a number of rounds.');
  const [, nonce, salt, rounds] = match as unknown as [string, string, string, string];
  if (!nonce.startsWith(ownNonce) || nonce.length === ownNonce.length) {
    throw invalidScram('Expected the server to lengthen the nonce that it was sent.');
  }
  const iterations = Number(rounds);
  if (iterations < 1 || iterations > ITERATIONS_MAX) {
    throw invalidScram(`Expected between 1 and ${ITERATIONS_MAX} rounds, found ${iterations}.`);
  }
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations };
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest();
}

function invalidScram(detail: string): HoldfastError {
  return new HoldfastError('PG_SCRAM_INVALID', 'invalid SCRAM message from the server', { detail });
}
