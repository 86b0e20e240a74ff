import { hkdfSync } from 'node:crypto';
import { assert } from '../../lib/index.ts';
import { instantiateFunction } from '../../lib/wasm/index.ts';
import { fingerprintModule } from './wasm-module.ts';

/** The unit that is fingerprinted: PostgreSQL's block size. */
export const FINGERPRINT_PAGE_BYTES = 8192;
/** The size of one fingerprint. */
export const FINGERPRINT_BYTES = 8;

/** NH key of one page, 16 bytes more for the second Toeplitz pass, then 2 × 5 64-bit multipliers of the final step. */
const NH_KEY_BYTES = FINGERPRINT_PAGE_BYTES + 16;
const EXPANDED_KEY_BYTES = NH_KEY_BYTES + 2 * 5 * 8;
/** HKDF-SHA256 gives at most 255 × 32 bytes a call, so the key is expanded in two halves. */
const EXPAND_HALF_BYTES = EXPANDED_KEY_BYTES / 2;

type FingerprintFunction = (pages: number, count: number, out: number, key: number) => void;

/** The expanded key: `EXPANDED_KEY_BYTES` bytes made from the repository's 32-byte fingerprint key. */
export function fingerprintKeyBytes(fingerprintKey: Uint8Array): Buffer {
  const half = (label: string) =>
    Buffer.from(
      hkdfSync('sha256', fingerprintKey, Buffer.alloc(0), `holdfast page fingerprint 1 ${label}`, EXPAND_HALF_BYTES),
    );
  return Buffer.concat([half('a'), half('b')]);
}

/**
 * Fingerprints pages that lie in a shared WebAssembly memory, in place, about as fast as memory is read.
 *
 * The function is UMAC's NH (RFC 4418, 5.2) over 32-bit words with two Toeplitz passes, giving 128 bits, then pair-multiply-shift
 * to 64 bits. Both are universal: the odds that two given pages collide do not depend on what is in them.
 */
export class PageFingerprinter {
  /** Bytes that the expanded key takes in the memory; the caller reserves them at `keyAt`, a multiple of 16. */
  static readonly keyBytes = Math.ceil(EXPANDED_KEY_BYTES / 16) * 16;

  readonly #run: FingerprintFunction;
  readonly #keyAt: number;
  readonly #memoryBytes: number;

  constructor(options: { memory: WebAssembly.Memory; keyAt: number; fingerprintKey: Uint8Array }) {
    this.#run = instantiateFunction<FingerprintFunction>(fingerprintModule, options.memory);
    this.#keyAt = options.keyAt;
    this.#memoryBytes = options.memory.buffer.byteLength;
    assert(options.keyAt % 16 === 0, 'the fingerprint key is aligned');
    new Uint8Array(options.memory.buffer, options.keyAt, EXPANDED_KEY_BYTES).set(
      fingerprintKeyBytes(options.fingerprintKey),
    );
  }

  /** Fingerprints `count` pages lying at byte `pagesAt` and writes `count` × 8 bytes at byte `outAt`. */
  fingerprint(pagesAt: number, count: number, outAt: number): void {
    assert(pagesAt + count * FINGERPRINT_PAGE_BYTES <= this.#memoryBytes, 'the pages lie inside the memory');
    assert(outAt + count * FINGERPRINT_BYTES <= this.#memoryBytes, 'the fingerprints lie inside the memory');
    this.#run(pagesAt, count, outAt, this.#keyAt);
  }
}

/** The fingerprint of a page of zeros under this key: what a map says of pages that no chunk holds. */
export function zeroPageFingerprint(fingerprintKey: Uint8Array): Buffer {
  const pageAt = Math.ceil(PageFingerprinter.keyBytes / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_PAGE_BYTES;
  const outAt = pageAt + FINGERPRINT_PAGE_BYTES;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  new PageFingerprinter({ memory, keyAt: 0, fingerprintKey }).fingerprint(pageAt, 1, outAt);
  return Buffer.from(Buffer.from(memory.buffer, outAt, FINGERPRINT_BYTES));
}
