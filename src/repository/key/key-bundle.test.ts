import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { decodeKeyBundle, drawKeyMaterial, encodeKeyBundle } from './key-bundle.ts';

describe('a key bundle', () => {
  const repositoryId = randomBytes(16);
  const bundle = { material: drawKeyMaterial(repositoryId), formatSha256: 'ab'.repeat(32) };

  it('is read as it was written', () => {
    const decoded = decodeKeyBundle(encodeKeyBundle(bundle), repositoryId);
    assert.deepEqual(encodeKeyBundle(decoded), encodeKeyBundle(bundle));
    assert.deepEqual(decoded.material.repositoryId, repositoryId);
  });

  it('of another form is refused, and nothing of it is repeated', () => {
    const text = encodeKeyBundle(bundle).toString();
    const secret = Buffer.from(bundle.material.signingSeed).toString('base64');
    const others = [
      text.slice(0, -1),
      text.replace('"version":1', '"version":2'),
      text.replace('"epochs"', '"eras"'),
      text.replace('{', '{"more":1,'),
      text.replace(secret, secret.slice(4)),
      '{}',
    ];
    for (const other of others) {
      assert.throws(
        () => decodeKeyBundle(Buffer.from(other), repositoryId),
        (error: { code?: string; message?: string; detail?: string; cause?: unknown }) =>
          error.code === 'KEY_BUNDLE_UNRECOGNIZED' &&
          error.cause === undefined &&
          !`${error.message} ${error.detail}`.includes(secret.slice(4)),
      );
    }
  });
});
