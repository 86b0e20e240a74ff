import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { assert } from '../../lib/index.ts';
import { HEADER_BYTES } from './header.ts';

/** Bytes that a frame has more than its plain content: the tag of AES-256-GCM. */
export const TAG_BYTES = 16;

/** What a frame holds; the byte is authenticated, so that a frame of one role never passes for another. */
export type FrameRole = 'chunk' | 'pack-directory' | 'piece' | 'last-piece';

const roleBytes: Record<FrameRole, number> = { chunk: 1, 'pack-directory': 2, piece: 3, 'last-piece': 4 };

const cipher = 'aes-256-gcm';
const CONTEXT_AT = HEADER_BYTES + 8 + 1;

/**
 * Seals and opens the frames of one object under its key.
 *
 * Nonce: 4 zero bytes · u64 offset of the frame in the object; unique as frames never overlap and the key belongs to this object alone.
 * Additional data: 64 header · u64 offset · u8 role · context. One buffer is reused for both, so an instance is for one caller at a time.
 */
export class FrameSealer {
  readonly #key: KeyObject;
  readonly #nonce = Buffer.alloc(12);
  #additional: Buffer;

  constructor(key: KeyObject, header: Uint8Array) {
    assert(header.length === HEADER_BYTES, 'a frame is sealed under a whole header');
    this.#key = key;
    this.#additional = Buffer.alloc(CONTEXT_AT + 64);
    this.#additional.set(header, 0);
  }

  /** Returns ciphertext and tag apart, so that a large frame is written without another copy. */
  seal(frame: FramePlace, plain: Uint8Array): [Buffer, Buffer] {
    const additional = this.#prepare(frame);
    const sealing = createCipheriv(cipher, this.#key, this.#nonce);
    sealing.setAAD(additional);
    const ciphertext = sealing.update(plain);
    sealing.final();
    return [ciphertext, sealing.getAuthTag()];
  }

  /** The plain content, or `null` when the frame is not authentic in this place. */
  open(frame: FramePlace, sealed: Uint8Array): Buffer | null {
    if (sealed.length < TAG_BYTES) return null;
    const additional = this.#prepare(frame);
    const end = sealed.length - TAG_BYTES;
    const opening = createDecipheriv(cipher, this.#key, this.#nonce, { authTagLength: TAG_BYTES });
    opening.setAAD(additional);
    opening.setAuthTag(sealed.subarray(end));
    const plain = opening.update(sealed.subarray(0, end));
    try {
      opening.final();
    } catch {
      // The only reason for which GCM fails here: tag and content do not belong together. The caller names the object.
      return null;
    }
    return plain;
  }

  #prepare({ offset, role, context }: FramePlace): Buffer {
    const length = CONTEXT_AT + context.length;
    if (length > this.#additional.length) {
      const grown = Buffer.alloc(length);
      grown.set(this.#additional.subarray(0, HEADER_BYTES), 0);
      this.#additional = grown;
    }
    const place = BigInt(offset);
    this.#nonce.writeBigUInt64LE(place, 4);
    this.#additional.writeBigUInt64LE(place, HEADER_BYTES);
    this.#additional.writeUInt8(roleBytes[role], HEADER_BYTES + 8);
    this.#additional.set(context, CONTEXT_AT);
    return this.#additional.subarray(0, length);
  }
}

/** Where a frame stands and what it is. `context`: a chunk's identity, or what `docs/design.md` 4 says for the other roles. */
export interface FramePlace {
  offset: number;
  role: FrameRole;
  context: Uint8Array;
}
