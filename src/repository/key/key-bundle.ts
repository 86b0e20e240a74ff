import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { HoldfastError } from '../../lib/index.ts';
import { base64Bytes } from './base64.ts';
import { KEY_BYTES, type KeyMaterial } from './ring/index.ts';

const bundleDocument = z.strictObject({
  version: z.literal(1),
  epochs: z.array(z.strictObject({ epoch: z.number().int().positive(), key: base64Bytes(KEY_BYTES) })).min(1),
  chunkIdKey: base64Bytes(KEY_BYTES),
  fingerprintKey: base64Bytes(KEY_BYTES),
  signingSeed: base64Bytes(KEY_BYTES),
  formatSha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Every secret of a repository, and which `format` they belong to. */
export interface KeyBundle {
  material: KeyMaterial;
  /** SHA-256 of the bytes of `format`, hexadecimal. */
  formatSha256: string;
}

/** Draws the keys of a new repository. */
export function drawKeyMaterial(repositoryId: Uint8Array): KeyMaterial {
  return {
    repositoryId,
    epochs: [{ epoch: 1, key: randomBytes(KEY_BYTES) }],
    chunkIdKey: randomBytes(KEY_BYTES),
    fingerprintKey: randomBytes(KEY_BYTES),
    signingSeed: randomBytes(KEY_BYTES),
  };
}

/** The plain bytes that a slot wraps. Secret. */
export function encodeKeyBundle({ material, formatSha256 }: KeyBundle): Buffer {
  const document = {
    version: 1,
    epochs: material.epochs.map(({ epoch, key }) => ({ epoch, key: base64(key) })),
    chunkIdKey: base64(material.chunkIdKey),
    fingerprintKey: base64(material.fingerprintKey),
    signingSeed: base64(material.signingSeed),
    formatSha256,
  };
  return Buffer.from(JSON.stringify(document), 'utf8');
}

/** Reverses `encodeKeyBundle`. Errors: `KEY_BUNDLE_UNRECOGNIZED`, which never repeats what it found. */
export function decodeKeyBundle(bytes: Uint8Array, repositoryId: Uint8Array): KeyBundle {
  try {
    const { formatSha256, ...keys } = bundleDocument.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    const { epochs, chunkIdKey, fingerprintKey, signingSeed } = keys;
    return { material: { repositoryId, epochs, chunkIdKey, fingerprintKey, signingSeed }, formatSha256 };
  } catch {
    // The cause would carry parts of the secret.
    throw new HoldfastError('KEY_BUNDLE_UNRECOGNIZED', 'cannot read the keys of the repository', {
      detail: 'The key was accepted, but what it opened has a form that this version does not recognize.',
      hints: ['Install the version of Holdfast that wrote the key, or a newer one.'],
    });
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
