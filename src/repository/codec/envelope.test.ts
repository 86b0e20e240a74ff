import assert from 'node:assert/strict';
import crypto, { type KeyObject, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { flipBit } from '../../../test/support/bits.ts';
import { randomKeys, scratchFor } from '../../../test/support/memory-repository.ts';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import { codeOf } from '../../lib/index.ts';
import { KeyRing } from '../key/index.ts';
import { PackWriter } from '../pack/index.ts';
import { BodyOpener, type BodyPlace, openBody, PIECE_BYTES_MAX, sealBody } from './body.ts';
import { compress, decompress } from './compression.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES } from './header.ts';
import { type EnvelopeKind, kindByte, kindOfByte } from './kind.ts';

const keys = randomKeys();
const place: BodyPlace = { kind: 'wal-segment', name: 'wal/1/x/segments/000000010000000000000001' };

function seal(body: Uint8Array, at: BodyPlace = place): Buffer {
  return Buffer.concat(sealBody(keys, at, body));
}

function isRefused(bytes: Uint8Array, at: BodyPlace = place): boolean {
  try {
    openBody(keys, at, bytes);
    return false;
  } catch (error) {
    return ['OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT'].includes(codeOf(error) ?? '');
  }
}

describe('the header of an object', () => {
  it('is 64 bytes as the format states them', () => {
    const header = encodeHeader({
      kind: 'ledger',
      epoch: 0x01020304,
      objectId: Buffer.alloc(32, 0xaa),
      repositoryId: Buffer.alloc(16, 0xbb),
    });
    const expected = `48464f42 01 0f 0000 04030201 00000000 ${'aa'.repeat(32)} ${'bb'.repeat(16)}`.replaceAll(' ', '');
    assert.equal(header.toString('hex'), expected);
  });

  it('is read as it was written', () => {
    const kinds = Array.from({ length: 18 }, (_, i) => kindOfByte(i + 1)!);
    const id = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const headers = fc.record({
      kind: fc.constantFrom(...kinds),
      epoch: fc.integer({ min: 0, max: 0xffffffff }),
      objectId: id(32),
      repositoryId: id(16),
    });
    fc.assert(
      fc.property(headers, (header) => {
        const decoded = decodeHeader(encodeHeader(header), 'x');
        assert.deepEqual(
          {
            ...decoded,
            objectId: new Uint8Array(decoded.objectId),
            repositoryId: new Uint8Array(decoded.repositoryId),
          },
          { ...header },
        );
      }),
    );
  });

  it('knows every kind by its byte', () => {
    const kinds: [EnvelopeKind, number][] = [
      ['data-pack', 1],
      ['tree-pack', 2],
      ['index', 3],
      ['ledger', 15],
      ['status', 18],
      ['wal-landmarks', 19],
      ['wal-landmark-summary', 20],
      ['wal-changes', 21],
      ['snapshot-forgotten', 22],
    ];
    for (const [kind, byte] of kinds) {
      assert.equal(kindByte(kind), byte);
      assert.equal(kindOfByte(byte), kind);
    }
    assert.equal(kindOfByte(0), undefined);
    assert.equal(kindOfByte(23), undefined);
  });
});

describe('a sealed body', () => {
  const sizes = [
    0,
    1,
    4096,
    PIECE_BYTES_MAX - 1,
    PIECE_BYTES_MAX,
    PIECE_BYTES_MAX + 1,
    2 * PIECE_BYTES_MAX,
    2 * PIECE_BYTES_MAX + 7,
  ];

  it('is opened as it was sealed, whether it can be compressed or not', () => {
    for (const size of sizes) {
      for (const body of [randomBytes(size), Buffer.alloc(size, 'ab')])
        assert.deepEqual(openBody(keys, place, seal(body)), body);
    }
  });

  it('is compressed where that is smaller', () => {
    assert.ok(seal(Buffer.alloc(PIECE_BYTES_MAX, 'ab')).length < 1000);
    assert.equal(seal(randomBytes(1000)).length, HEADER_BYTES + 8 + 1000 + 16);
  });

  it('is opened from any split of its bytes', () => {
    const bodies = [
      randomBytes(300),
      Buffer.alloc(0),
      Buffer.concat([randomBytes(PIECE_BYTES_MAX), Buffer.from('tail')]),
    ];
    for (const body of bodies) {
      const sealed = seal(body);
      const step = body.length > 1000 ? 4093 : 1;
      const opener = new BodyOpener(keys, place);
      const pieces: Buffer[] = [];
      for (let at = 0; at < sealed.length; at += step) pieces.push(...opener.push(sealed.subarray(at, at + step)));
      pieces.push(opener.finish());
      assert.deepEqual(Buffer.concat(pieces), body);
    }
  });

  it('is refused with any bit of it turned over', () => {
    for (const body of [Buffer.from('a small record'), Buffer.alloc(2000, 'compressible '), Buffer.alloc(0)]) {
      const sealed = seal(body);
      for (let bit = 0; bit < sealed.length * 8; bit++) assert.ok(isRefused(flipBit(sealed, bit)), `bit ${bit}`);
    }
  });

  it('is refused when it is cut anywhere, also between two pieces', () => {
    const sealed = seal(
      Buffer.concat([Buffer.alloc(PIECE_BYTES_MAX, 1), Buffer.alloc(PIECE_BYTES_MAX, 2), Buffer.from('end')]),
    );
    for (let length = 0; length < sealed.length; length++)
      assert.ok(isRefused(sealed.subarray(0, length)), `${length} bytes`);
  });

  it('is refused with bytes behind its end, and with pieces twice or in another order', () => {
    const sealed = seal(
      Buffer.concat([randomBytes(PIECE_BYTES_MAX), randomBytes(PIECE_BYTES_MAX), randomBytes(PIECE_BYTES_MAX)]),
    );
    const pieceBytes = 8 + PIECE_BYTES_MAX + 16;
    const [header, first, second, third] = [
      sealed.subarray(0, HEADER_BYTES),
      ...[0, 1, 2].map((i) => sealed.subarray(HEADER_BYTES + i * pieceBytes, HEADER_BYTES + (i + 1) * pieceBytes)),
    ] as [Buffer, Buffer, Buffer, Buffer];
    assert.ok(!isRefused(Buffer.concat([header, first, second, third])));
    assert.ok(isRefused(Buffer.concat([sealed, Buffer.of(0)])));
    assert.ok(isRefused(Buffer.concat([header, second, first, third])));
    assert.ok(isRefused(Buffer.concat([header, first, third])));
    assert.ok(isRefused(Buffer.concat([header, first, second, second, third])));
    assert.ok(isRefused(Buffer.concat([header, third])));
  });

  it('is refused under another name and as another kind', () => {
    const sealed = seal(Buffer.from('x'));
    assert.ok(isRefused(sealed, { ...place, name: 'wal/1/x/segments/000000010000000000000002' }));
    assert.ok(isRefused(sealed, { ...place, kind: 'wal-fragment' }));
  });

  it('is refused by another repository, and with the keys of another one under the same id', () => {
    const sealed = seal(Buffer.from('x'));
    assert.throws(() => openBody(randomKeys(), place, sealed), {
      code: 'OBJECT_DAMAGED',
      detail: /of repository [0-9a-f]{32}/,
    });
    const stranger = KeyRing.fromMaterial({ ...randomKeys().material(), repositoryId: keys.repositoryId });
    assert.throws(() => openBody(stranger, place, sealed), { code: 'OBJECT_DAMAGED' });
  });

  it('is never taken for compressed because its bytes happen to be zstd', () => {
    const inner = Buffer.alloc(3000, 'z');
    const body = compress(inner)!;
    const sealed = seal(body);
    assert.deepEqual(openBody(keys, place, sealed), body);
    const changed = Buffer.from(sealed);
    changed.writeUInt32LE(inner.length, HEADER_BYTES + 4);
    assert.ok(isRefused(changed));
  });

  it('names the object, and what was expected and found', () => {
    assert.throws(() => openBody(keys, place, flipBit(seal(Buffer.from('x')), 8 * 75)), {
      code: 'OBJECT_DAMAGED',
      message: `cannot read object "${place.name}": it is damaged`,
      detail: "Its last piece at offset 64 is not authentic: changed, cut, or another object's.",
    });
  });

  it('is refused, not misread, when it is made of random bytes', () => {
    const noise = fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 400 }));
    fc.assert(
      fc.property(noise, ([withHeader, bytes]) => {
        const header = encodeHeader({
          kind: place.kind,
          epoch: 1,
          objectId: randomBytes(32),
          repositoryId: keys.repositoryId,
        });
        assert.ok(isRefused(withHeader ? Buffer.concat([header, bytes]) : bytes));
      }),
    );
  });

  it('stays readable after the sealing key was rotated, and is refused without its epoch', () => {
    const sealed = seal(Buffer.from('old'));
    const { epochs, ...rest } = keys.material();
    const rotated = KeyRing.fromMaterial({ ...rest, epochs: [...epochs, { epoch: 2, key: randomBytes(32) }] });
    assert.equal(openBody(rotated, place, sealed).toString(), 'old');
    const renewed = Buffer.concat(sealBody(rotated, place, Buffer.from('new')));
    assert.equal(decodeHeader(renewed, 'x').epoch, 2);
    assert.throws(() => openBody(keys, place, renewed), { code: 'KEY_EPOCH_ABSENT' });
  });
});

describe('compression', () => {
  it('gives back what went in, and nothing that would not be smaller', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 1, max: 50 }), (bytes, times) => {
        const raw = Buffer.concat(Array.from({ length: times }, () => bytes));
        const compressed = compress(raw);
        if (compressed === null) return;
        assert.ok(compressed.length < raw.length);
        assert.deepEqual(decompress(compressed, raw.length), raw);
        assert.equal(decompress(compressed, raw.length - 1), null);
        assert.equal(decompress(compressed, raw.length + 1), null);
      }),
    );
  });

  it('makes no more bytes than it was told, whatever the input claims', () => {
    const bomb = compress(Buffer.alloc(64 << 20))!;
    assert.equal(decompress(bomb, 1000), null);
    assert.equal(decompress(randomBytes(100), 1000), null);
  });
});

/** Notes the key and nonce of every encryption from now on, as seen at Node's own interface. */
function watchNonces(test: TestContext): { used: Set<string>; repeated: string[] } {
  const used = new Set<string>();
  const repeated: string[] = [];
  const original = crypto.createCipheriv;
  const spy = (algorithm: string, key: KeyObject, nonce: Buffer, ...rest: unknown[]) => {
    const pair = `${key.export().toString('hex')} ${nonce.toString('hex')}`;
    if (used.has(pair)) repeated.push(pair);
    used.add(pair);
    return Reflect.apply(original, crypto, [algorithm, key, nonce, ...rest]);
  };
  crypto.createCipheriv = spy as unknown as typeof original;
  syncBuiltinESMExports();
  test.after(() => {
    crypto.createCipheriv = original;
    syncBuiltinESMExports();
  });
  return { used, repeated };
}

describe('nonces', () => {
  it('are never used twice under one key in a long random run', async (test) => {
    const scratch = await scratchFor(test, 'nonces');
    const { used, repeated } = watchNonces(test);
    const random = seededRandom(7);
    const bodies = [Buffer.alloc(0), Buffer.from('same'), randomBytes(2_100_000)];
    for (let run = 0; run < 300; run++) {
      // The same name and the same body again and again, as retries and resumed work have them.
      sealBody(keys, place, random.pick(bodies));
      if (run % 3 !== 0) continue;
      const writer = new PackWriter({
        keys,
        content: random.pick(['data', 'tree']),
        spoolPath: join(scratch, `pack-${run}`),
      });
      for (let chunks = random.below(40); chunks > 0; chunks--)
        writer.append(Buffer.alloc(32), random.pick(bodies).subarray(0, 5), null);
      if (random.below(4) === 0) writer.abandon();
      else rmSync(writer.finish().spoolPath);
    }
    assert.ok(used.size > 2000, `${used.size} frames`);
    assert.deepEqual(repeated, []);
  });

  it('would be noticed if they were', async (test) => {
    const { repeated } = watchNonces(test);
    const key = crypto.createSecretKey(randomBytes(32));
    for (let i = 0; i < 2; i++) crypto.createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
    assert.equal(repeated.length, 1);
  });
});
