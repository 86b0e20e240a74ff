import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { flipBit } from '../../../test/support/bits.ts';
import { randomKeys, scratchFor } from '../../../test/support/memory-repository.ts';
import { codeOf } from '../../lib/index.ts';
import { compress, HEADER_BYTES } from '../codec/index.ts';
import { KeyRing } from '../key/index.ts';
import { memoryStore } from '../object-store/index.ts';
import {
  CHUNK_BYTES_MAX,
  decodeDirectory,
  listPackEntries,
  PACK_ENTRY_BYTES,
  type PackContent,
  PackOpener,
  packName,
} from './opener/index.ts';
import { type FinishedPack, PACK_BYTES_MAX, PACK_CHUNKS_MAX, PackWriter } from './pack-writer.ts';
import { readPackDirectory } from './read-directory.ts';

const keys = randomKeys();

async function writePack(test: TestContext, chunks: readonly Buffer[], content: PackContent = 'data') {
  const spoolPath = join(await scratchFor(test, 'pack'), 'spool');
  const writer = new PackWriter({ keys, content, spoolPath });
  for (const raw of chunks) writer.append(keys.identifyChunk(raw), raw, compress(raw));
  const pack = writer.finish();
  return { pack, bytes: readFileSync(spoolPath) };
}

function readChunks({ pack, bytes }: { pack: FinishedPack; bytes: Buffer }): Buffer[] {
  const opener = new PackOpener({ keys, packId: pack.packId, content: pack.content, epoch: pack.epoch });
  return [...listPackEntries(pack.entries, HEADER_BYTES)].map((entry) =>
    opener.openChunkFrame(entry, bytes.subarray(entry.offset, entry.offset + entry.frameLength)),
  );
}

async function readDirectory(pack: FinishedPack, bytes: Buffer, ring: KeyRing = keys) {
  const store = memoryStore();
  await store.putIfAbsent(pack.name, bytes);
  return readPackDirectory(store, ring, pack.packId);
}

describe('a pack', () => {
  it('gives back any chunks, and its directory says what its writer said', async (test) => {
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ max: 200_000, min: 0 }).map((size) => Buffer.alloc(size, 'ab')),
    );
    const property = fc.asyncProperty(
      fc.array(chunk, { maxLength: 30 }),
      fc.constantFrom('data', 'tree'),
      async (chunks, content) => {
        const raws = chunks.map((bytes) => Buffer.from(bytes));
        const written = await writePack(test, raws, content as PackContent);
        assert.deepEqual(readChunks(written), raws);
        assert.equal(written.bytes.length, written.pack.size);
        assert.equal(written.pack.count, raws.length);
        const directory = await readDirectory(written.pack, written.bytes);
        assert.deepEqual(directory.entries, Buffer.from(written.pack.entries));
        assert.equal(directory.content, content);
      },
    );
    await fc.assert(property, { numRuns: 30 });
  });

  it('holds chunks from nothing to 1 MiB, compressed only where that is smaller', async (test) => {
    const raws = [Buffer.alloc(0), randomBytes(CHUNK_BYTES_MAX), Buffer.alloc(CHUNK_BYTES_MAX, 'ab'), Buffer.of(1)];
    const written = await writePack(test, raws);
    assert.deepEqual(readChunks(written), raws);
    const lengths = [...listPackEntries(written.pack.entries, HEADER_BYTES)].map(({ frameLength }) => frameLength);
    assert.equal(lengths[0], 16);
    assert.equal(lengths[1], CHUNK_BYTES_MAX + 16);
    assert.ok(lengths[2]! < 1000);
    assert.equal(lengths[3], 17);
  });

  it('takes chunks from shared memory, as its workers have them', async (test) => {
    const shared = new Uint8Array(new SharedArrayBuffer(5000)).fill(7, 10, 4000);
    const spoolPath = join(await scratchFor(test, 'pack'), 'spool');
    const writer = new PackWriter({ keys, content: 'data', spoolPath });
    writer.append(keys.identifyChunk(shared), shared, compress(shared));
    const pack = writer.finish();
    assert.deepEqual(readChunks({ pack, bytes: readFileSync(spoolPath) }), [Buffer.from(shared)]);
  });

  it('finds any bit of it turned over', async (test) => {
    const raws = [Buffer.from('first chunk'), Buffer.alloc(500, 'compressible'), Buffer.from('last')];
    const { pack, bytes } = await writePack(test, raws);
    const entries = [...listPackEntries(pack.entries, HEADER_BYTES)];
    const chunksEnd = entries.at(-1)!.offset + entries.at(-1)!.frameLength;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = flipBit(bytes, bit);
      const at = bit >>> 3;
      const inChunk = entries.find(({ offset, frameLength }) => at >= offset && at < offset + frameLength);
      if (inChunk !== undefined) {
        assert.throws(() => readChunks({ pack, bytes: flipped }), { code: 'CHUNK_DAMAGED' });
        continue;
      }
      assert.ok(at < HEADER_BYTES || at >= chunksEnd);
      await assert.rejects(readDirectory(pack, flipped), (error) =>
        ['OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT'].includes(codeOf(error) ?? ''),
      );
    }
  });

  it('is refused when it is cut, prolonged, or stands under another name', async (test) => {
    const { pack, bytes } = await writePack(test, [Buffer.from('a'), Buffer.from('b')]);
    for (let length = 0; length < bytes.length; length++) {
      await assert.rejects(readDirectory(pack, bytes.subarray(0, length)), { code: 'OBJECT_DAMAGED' });
    }
    await assert.rejects(readDirectory(pack, Buffer.concat([bytes, Buffer.alloc(8)])), { code: 'OBJECT_DAMAGED' });
    const packId = randomBytes(32);
    await assert.rejects(readDirectory({ ...pack, packId, name: packName(packId) }, bytes), {
      code: 'OBJECT_DAMAGED',
      detail: /object id/,
    });
    await assert.rejects(readPackDirectory(memoryStore(), keys, packId), { code: 'OBJECT_ABSENT' });
  });

  it('is refused by another repository', async (test) => {
    const { pack, bytes } = await writePack(test, [Buffer.from('a')]);
    await assert.rejects(readDirectory(pack, bytes, randomKeys()), { code: 'OBJECT_DAMAGED', detail: /of another/ });
    const stranger = KeyRing.fromMaterial({ ...randomKeys().material(), repositoryId: keys.repositoryId });
    await assert.rejects(readDirectory(pack, bytes, stranger), { code: 'OBJECT_DAMAGED', detail: /not authentic/ });
  });

  it('never gives one chunk for another, nor one place for another', async (test) => {
    const { pack, bytes } = await writePack(test, [Buffer.from('first'), Buffer.from('other')]);
    const [first, second] = [...listPackEntries(pack.entries, HEADER_BYTES)] as [
      ReturnType<typeof entry>,
      ReturnType<typeof entry>,
    ];
    const opener = new PackOpener({ keys, packId: pack.packId, content: 'data', epoch: 1 });
    const frame = bytes.subarray(first.offset, first.offset + first.frameLength);
    assert.equal(opener.openChunkFrame(first, frame).toString(), 'first');
    assert.throws(() => opener.openChunkFrame({ ...first, id: second.id }, frame), { code: 'CHUNK_DAMAGED' });
    assert.throws(() => opener.openChunkFrame({ ...first, offset: second.offset }, frame), { code: 'CHUNK_DAMAGED' });
    assert.throws(() => opener.openChunkFrame({ ...first, rawLength: 6 }, frame), { code: 'CHUNK_DAMAGED' });
    const asTree = new PackOpener({ keys, packId: pack.packId, content: 'tree', epoch: 1 });
    assert.throws(() => asTree.openChunkFrame(first, frame), { code: 'CHUNK_DAMAGED', message: new RegExp(pack.name) });
  });
});

function entry() {
  return { id: Buffer.alloc(32), offset: 0, frameLength: 0, rawLength: 0 };
}

describe('the writer of packs', () => {
  it('is full before a pack could grow beyond 64 MiB', async (test) => {
    const spoolPath = join(await scratchFor(test, 'pack'), 'spool');
    const writer = new PackWriter({ keys, content: 'data', spoolPath });
    const raw = randomBytes(CHUNK_BYTES_MAX);
    while (!writer.isFull) writer.append(randomBytes(32), raw, null);
    const pack = writer.finish();
    assert.ok(pack.size <= PACK_BYTES_MAX && pack.size > PACK_BYTES_MAX - 3 * CHUNK_BYTES_MAX, `${pack.size} bytes`);
    assert.equal(readFileSync(spoolPath).length, pack.size);
  });

  it('is full at 65,535 chunks', async (test) => {
    const spoolPath = join(await scratchFor(test, 'pack'), 'spool');
    const writer = new PackWriter({ keys, content: 'tree', spoolPath });
    while (!writer.isFull) writer.append(randomBytes(32), Buffer.of(1), null);
    assert.equal(writer.count, PACK_CHUNKS_MAX);
    assert.throws(() => writer.append(randomBytes(32), Buffer.of(1), null), { name: 'AssertionFailed' });
    const pack = writer.finish();
    assert.equal(
      (await readDirectory(pack, readFileSync(spoolPath))).entries.length,
      PACK_CHUNKS_MAX * PACK_ENTRY_BYTES,
    );
  });

  it('leaves no file behind when a pack is abandoned, and does not touch a finished one', async (test) => {
    const scratch = await scratchFor(test, 'pack');
    const abandoned = new PackWriter({ keys, content: 'data', spoolPath: join(scratch, 'a') });
    abandoned.append(randomBytes(32), randomBytes(300_000), null);
    abandoned.abandon();
    abandoned.abandon();
    assert.equal(existsSync(join(scratch, 'a')), false);
    assert.throws(() => abandoned.append(randomBytes(32), randomBytes(300_000), null), { name: 'AssertionFailed' });
    const finished = new PackWriter({ keys, content: 'data', spoolPath: join(scratch, 'b') });
    finished.finish();
    finished.abandon();
    assert.equal(existsSync(join(scratch, 'b')), true);
  });

  it('never writes over a file that is there', async (test) => {
    const spoolPath = join(await scratchFor(test, 'pack'), 'spool');
    writeFileSync(spoolPath, 'something of somebody');
    assert.throws(() => new PackWriter({ keys, content: 'data', spoolPath }), { code: 'STORE_FAILED' });
    assert.throws(() => new PackWriter({ keys, content: 'data', spoolPath: '/nowhere/at/all' }), {
      code: 'STORE_FAILED',
    });
    assert.equal(readFileSync(spoolPath, 'utf8'), 'something of somebody');
  });
});

describe('the directory of a pack', () => {
  it('is refused, not misread, when it is made of random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const entries = decodeDirectory(Buffer.from(bytes), 'data');
        if (entries !== null) assert.equal(entries.length % PACK_ENTRY_BYTES, 0);
      }),
    );
  });
});
