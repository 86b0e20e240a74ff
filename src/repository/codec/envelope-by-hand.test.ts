import assert from 'node:assert/strict';
import { createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { KeyRing } from '../key/index.ts';
import { sealBody } from './index.ts';

const HEADER = 64;
const SEGMENT_KIND = 7;
const LAST_PIECE = 4;

it('a sealed body is what docs/design.md 3 and 4 say, byte by byte', () => {
  const epochKey = randomBytes(32);
  const repositoryId = randomBytes(16);
  const keys = KeyRing.fromMaterial({
    ...{ repositoryId, epochs: [{ epoch: 3, key: epochKey }], chunkIdKey: randomBytes(32) },
    ...{ fingerprintKey: randomBytes(32), signingSeed: randomBytes(32) },
  });
  const name = 'wal/7/x/segments/y';
  const body = randomBytes(1000);
  const sealed = Buffer.concat(sealBody(keys, { kind: 'wal-segment', name }, body));

  const header = sealed.subarray(0, HEADER);
  const objectId = header.subarray(16, 48);
  const fixed = Buffer.concat([
    Buffer.from('HFOB'),
    Buffer.of(1, SEGMENT_KIND, 0, 0),
    Buffer.of(3, 0, 0, 0),
    Buffer.alloc(4),
  ]);
  assert.deepEqual(header, Buffer.concat([fixed, objectId, repositoryId]));
  assert.equal(sealed.readUInt32LE(HEADER), body.length + 16);
  assert.equal(sealed.readUInt32LE(HEADER + 4), body.length);

  const info = Buffer.concat([Buffer.from('holdfast object 1'), Buffer.of(SEGMENT_KIND), repositoryId]);
  const key = Buffer.from(hkdfSync('sha256', epochKey, objectId, info, 32));
  const offset = Buffer.alloc(8);
  offset.writeBigUInt64LE(BigInt(HEADER + 8));
  const plainLength = sealed.subarray(HEADER + 4, HEADER + 8);
  const frame = sealed.subarray(HEADER + 8);
  const opening = createDecipheriv('aes-256-gcm', key, Buffer.concat([Buffer.alloc(4), offset]));
  opening.setAAD(Buffer.concat([header, offset, Buffer.of(LAST_PIECE), plainLength, Buffer.from(name)]));
  opening.setAuthTag(frame.subarray(-16));
  assert.deepEqual(Buffer.concat([opening.update(frame.subarray(0, -16)), opening.final()]), body);
});
