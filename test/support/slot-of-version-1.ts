import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import canonicalize from 'canonicalize';
import { encodeKeyBundle, type KeyMaterial } from '../../src/repository/index.ts';

/**
 * A key slot for a key file as the first version wrote it, made by hand from `docs/design.md` 3: repositories that have such slots stay readable.
 */
export async function makeSlotOfVersion1(options: {
  material: KeyMaterial;
  formatSha256: string;
  keyFile: string;
  label?: string;
}): Promise<{ slot: string; name: string; bytes: Buffer }> {
  const { material } = options;
  const slot = randomBytes(16).toString('hex');
  const salt = randomBytes(16);
  const head = {
    ...{ version: 1, slot, kind: 'key-file', label: options.label ?? '', createdAt: '2026-01-01T00:00:00.000Z' },
    kdf: { algorithm: 'hkdf-sha256', salt: salt.toString('base64') },
  };
  const secret = Buffer.from((await readFile(options.keyFile, 'utf8')).trim(), 'hex');
  const key = Buffer.from(hkdfSync('sha256', secret, salt, 'holdfast key file 1', 32));
  const nonce = randomBytes(12);
  const sealing = createCipheriv('aes-256-gcm', key, nonce);
  const parts = ['holdfast key slot 1', material.repositoryId, Buffer.from(slot, 'hex'), canonicalize(head)!];
  sealing.setAAD(Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))));
  const bundle = encodeKeyBundle(options);
  const wrapped = Buffer.concat([sealing.update(bundle), sealing.final(), sealing.getAuthTag()]);
  const document = { ...head, nonce: nonce.toString('base64'), wrapped: wrapped.toString('base64') };
  return { slot, name: `keys/${slot}`, bytes: Buffer.from(JSON.stringify(document)) };
}
