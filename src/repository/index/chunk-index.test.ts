import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { flipBit } from '../../../test/support/bits.ts';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { createRepository, scratchFor, type TestRepository } from '../../../test/support/memory-repository.ts';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import { HEADER_BYTES } from '../codec/index.ts';
import { recordDamage } from '../damage/index.ts';
import { memoryStore, newSpoolPath } from '../object-store/index.ts';
import { type FinishedPack, PACK_ENTRY_BYTES, type PackContent, PackWriter } from '../pack/index.ts';
import type { Repository } from '../repository.ts';
import { ChunkIndex } from './chunk-index.ts';
import { decodeIndex, encodeIndex, type IndexedPack, writeIndexObjects } from './index-object.ts';

/** Entries as a pack would have them, without a pack. */
function makePack(
  ids: readonly Uint8Array[],
  options: { frameLength?: number; content?: PackContent } = {},
): IndexedPack {
  const entries = Buffer.alloc(ids.length * PACK_ENTRY_BYTES);
  for (const [i, id] of ids.entries()) {
    entries.set(id, i * PACK_ENTRY_BYTES);
    entries.writeUInt32LE(options.frameLength ?? 116, i * PACK_ENTRY_BYTES + 32);
    entries.writeUInt32LE(100, i * PACK_ENTRY_BYTES + 36);
  }
  return { packId: randomBytes(32), content: options.content ?? 'data', epoch: 1, entries };
}

function openIndex(test: TestContext, scratchDirectory?: string): ChunkIndex {
  const index = new ChunkIndex(scratchDirectory === undefined ? {} : { scratchDirectory });
  test.after(() => index.close());
  return index;
}

async function storePack(
  repository: Repository,
  chunks: readonly Buffer[],
  content: PackContent = 'data',
): Promise<FinishedPack> {
  const spoolPath = newSpoolPath(await repository.store.spoolDirectory());
  const writer = new PackWriter({ keys: repository.keys, content, spoolPath });
  for (const raw of chunks) writer.append(repository.keys.identifyChunk(raw), raw, null);
  const pack = writer.finish();
  await repository.store.putFileIfAbsent(pack.name, pack.spoolPath);
  return pack;
}

async function overwrite({ store }: TestRepository, name: string, bytes: Uint8Array | null): Promise<void> {
  await store.delete(name);
  if (bytes !== null) await store.putIfAbsent(name, bytes);
}

/** Bytes of all buffers that are still referred to. The others go in the background, some turns after the collector found them. */
async function buffersInUse(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  let bytes = Number.POSITIVE_INFINITY;
  for (let unchanged = 0; unchanged < 5; ) {
    collectGarbage();
    await setTimeout(10);
    const { arrayBuffers } = process.memoryUsage();
    unchanged = arrayBuffers < bytes ? 0 : unchanged + 1;
    bytes = Math.min(bytes, arrayBuffers);
  }
  return bytes;
}

describe('a chunk index', () => {
  it('finds every chunk where its pack says it is, and no other', (test) => {
    const index = openIndex(test);
    const packs = Array.from({ length: 50 }, (_, i) => {
      const ids = Array.from({ length: 300 + i }, () => randomBytes(32));
      return { ids, pack: makePack(ids, { content: i % 2 === 0 ? 'data' : 'tree' }) };
    });
    for (const { pack } of packs) index.addPack(pack);
    for (const [number, { ids, pack }] of packs.entries()) {
      for (const [i, id] of ids.entries()) {
        const expected = {
          ...{ packNumber: number, packId: pack.packId, content: pack.content, epoch: 1 },
          ...{ offset: HEADER_BYTES + i * 116, frameLength: 116, rawLength: 100 },
          chunksEnd: HEADER_BYTES + ids.length * 116,
        };
        assert.deepEqual(index.lookup(id), [expected]);
        assert.equal(index.has(id), true);
      }
    }
    assert.equal(index.has(randomBytes(32)), false);
    assert.deepEqual(index.lookup(randomBytes(32)), []);
    assert.equal(
      index.count,
      packs.reduce((count, { ids }) => count + ids.length, 0),
    );
    assert.equal(index.packCount, 50);
  });

  it('tells chunks apart whose identities begin alike', (test) => {
    const alike = fc.array(
      fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((id) => Buffer.concat([Buffer.alloc(20, 9), id.subarray(20)])),
      {
        maxLength: 200,
      },
    );
    fc.assert(
      fc.property(alike, alike, (known, asked) => {
        const index = openIndex(test);
        index.addPack(makePack(known));
        for (const id of [...known, ...asked]) {
          const copies = known.filter((other) => other.equals(id)).length;
          assert.equal(index.lookup(id).length, copies);
          assert.equal(index.has(id), copies > 0);
        }
        index.close();
      }),
      { numRuns: 30 },
    );
  });

  it('gives every location of a chunk that stands in several packs', (test) => {
    const index = openIndex(test);
    const id = randomBytes(32);
    const packs = Array.from({ length: 5 }, () => makePack([randomBytes(32), id]));
    for (const pack of packs) index.addPack(pack);
    const found = index.lookup(id).map(({ packId }) => packId.toString('hex'));
    assert.deepEqual(found.sort(), packs.map(({ packId }) => Buffer.from(packId).toString('hex')).sort());
  });

  it('takes a pack that several index objects name for one', (test) => {
    const index = openIndex(test);
    const id = randomBytes(32);
    const pack = makePack([id]);
    index.addPack(pack);
    index.addPack({ ...pack, entries: new Uint8Array(pack.entries) });
    assert.equal(index.lookup(id).length, 1);
    assert.equal(index.count, 1);
  });

  it('keeps about 10 bytes of memory for each chunk, at every size', async (test) => {
    const scratch = await scratchFor(test, 'index');
    const index = openIndex(test, scratch);
    const random = seededRandom(1);
    const ratios: number[] = [];
    const perPack = 16_384;
    while (index.count < 1_500_000) {
      // The index trusts identities to be evenly spread; 8 random bytes and a counter are enough of that, and quick to make.
      const entries = Buffer.alloc(perPack * PACK_ENTRY_BYTES);
      for (let at = 0; at < entries.length; at += PACK_ENTRY_BYTES) {
        entries.writeUInt32LE(random.below(2 ** 32), at);
        entries.writeUInt32LE(random.below(2 ** 32), at + 4);
        entries.writeUInt32LE(116, at + 32);
        entries.writeUInt32LE(100, at + 36);
      }
      index.addPack({ packId: randomBytes(32), content: 'data', epoch: 1, entries });
      if (index.count >= 500_000) ratios.push(index.memoryBytes / index.count);
    }
    const worst = Math.max(...ratios);
    assert.ok(worst < 11, `${worst} bytes for each chunk`);
    assert.deepEqual(await readdir(scratch), [], 'its temporary file has no name');
  });

  it('holds as much memory as it says', async (test) => {
    const before = await buffersInUse();
    const index = openIndex(test);
    for (let pack = 0; pack < 40; pack++) index.addPack(makePack(Array.from({ length: 5000 }, () => randomBytes(32))));
    const held = (await buffersInUse()) - before;
    assert.ok(
      Math.abs(held - index.memoryBytes) < index.memoryBytes * 0.1,
      `${held} bytes held, ${index.memoryBytes} claimed`,
    );
  });

  it('gives its temporary file back', async () => {
    const count = async () => (await readdir('/proc/self/fd')).length;
    const before = await count();
    const index = new ChunkIndex();
    index.addPack(makePack(Array.from({ length: 3000 }, () => randomBytes(32))));
    assert.equal(await count(), before + 1);
    index.close();
    index.close();
    assert.equal(await count(), before);
  });
});

describe('index objects', () => {
  it('are read as they were written', () => {
    const pack = fc.record({
      packId: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      content: fc.constantFrom<PackContent>('data', 'tree'),
      epoch: fc.integer({ min: 1, max: 0xffffffff }),
      entries: fc
        .integer({ min: 0, max: 20 })
        .map((count) => makePack(Array.from({ length: count }, () => randomBytes(32))).entries),
    });
    fc.assert(
      fc.property(fc.array(pack, { maxLength: 5 }), (packs) => {
        const plain = ({ packId, content, epoch, entries }: IndexedPack) => [[...packId], content, epoch, [...entries]];
        assert.deepEqual(decodeIndex(encodeIndex(packs), 'index/x').map(plain), packs.map(plain));
      }),
    );
  });

  it('are refused, not misread, when they are made of random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decodeIndex(bytes, 'index/x');
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'OBJECT_DAMAGED');
        }
      }),
    );
  });

  it('make room for their chunks before these come, so that tables need not grow', async (test) => {
    const { repository } = await createRepository(test);
    const packs = Array.from({ length: 20 }, () => makePack(Array.from({ length: 5000 }, () => randomBytes(32))));
    await writeIndexObjects(repository, packs);
    const index = await repository.loadIndex();
    assert.equal(index.count, 100_000);
    assert.ok(index.memoryBytes < 12 * index.count, `${index.memoryBytes} bytes`);
  });

  it('are as many as the chunks need, and together name every chunk once', async (test) => {
    const { repository } = await createRepository(test);
    const packs = [40_000, 30_000, 65_535, 10, 10].map((count) =>
      makePack(Array.from({ length: count }, (_, i) => idOf(i, count))),
    );
    const names = await writeIndexObjects(repository, packs);
    assert.equal(names.length, 4);
    assert.ok(names.every((name) => /^index\/[0-9a-f]{64}$/.test(name)));
    const index = await repository.loadIndex();
    assert.equal(index.count, 135_555);
    assert.deepEqual(await writeIndexObjects(repository, []), []);
  });
});

function idOf(number: number, salt: number): Buffer {
  const id = Buffer.alloc(32);
  id.writeUInt32LE(Math.imul(number, 2654435761) >>> 0, 0);
  id.writeUInt32LE(number, 4);
  id.writeUInt32LE(salt, 8);
  return id;
}

describe('loading the index', () => {
  const raws = [Buffer.from('first'), Buffer.from('second')] as const;

  it('finds what was stored, through the chunk reader', async (test) => {
    const { repository, open } = await createRepository(test);
    await writeIndexObjects(repository, [await storePack(repository, raws)]);
    const opened = await open({ access: 'read' });
    const index = await opened.loadIndex();
    const { readChunk } = opened.openChunkReader(index);
    for (const raw of raws) assert.deepEqual(await readChunk(opened.keys.identifyChunk(raw)), raw);
    await assert.rejects(readChunk(randomBytes(32)), { code: 'CHUNK_ABSENT' });
  });

  it('lets no writer count on a chunk of a damaged pack, while a reader still tries it', async (test) => {
    const { repository } = await createRepository(test);
    const pack = await storePack(repository, raws);
    await writeIndexObjects(repository, [pack]);
    assert.equal((await repository.loadIndex()).has(repository.keys.identifyChunk(raws[0])), true);
    assert.equal(await recordDamage(repository, pack.packId, { found: 'a frame that is not authentic' }), 'created');
    assert.equal(await recordDamage(repository, pack.packId, { found: 'again' }), 'exists');
    const index = await repository.loadIndex();
    for (const raw of raws) {
      assert.equal(index.has(repository.keys.identifyChunk(raw)), false);
      assert.deepEqual(await repository.openChunkReader(index).readChunk(repository.keys.identifyChunk(raw)), raw);
    }
  });

  it('lets no writer count on a chunk of a pack under a tombstone', async (test) => {
    const { repository } = await createRepository(test);
    const pack = await storePack(repository, raws);
    await writeIndexObjects(repository, [pack]);
    const createdAt = new Date().toISOString();
    const packs = [pack.packId.toString('hex')];
    await repository.putJson('tombstone', `tombstones/${'0'.repeat(64)}`, { version: 1, createdAt, packs });
    assert.equal((await repository.loadIndex()).has(repository.keys.identifyChunk(raws[0])), false);
  });

  it('prefers a sound copy, which heals what the damaged one lost', async (test) => {
    const { repository } = await createRepository(test);
    const damaged = await storePack(repository, raws);
    const sound = await storePack(repository, raws);
    await writeIndexObjects(repository, [damaged, sound]);
    await recordDamage(repository, damaged.packId, {});
    const index = await repository.loadIndex();
    const id = repository.keys.identifyChunk(raws[0]);
    assert.equal(index.has(id), true);
    assert.deepEqual(
      index.lookup(id).map(({ packId }) => packId),
      [sound.packId, damaged.packId],
    );
    index.markDoubtful(sound.packId);
    assert.equal(index.has(id), false);
  });

  it('tells a writer nothing while a tombstone cannot be read, but does not stand in the way of a reader', async (test) => {
    const { repository, store, open } = await createRepository(test);
    await writeIndexObjects(repository, [await storePack(repository, raws)]);
    await store.putIfAbsent(`tombstones/${'1'.repeat(64)}`, randomBytes(100));
    await assert.rejects(repository.loadIndex(), { code: 'OBJECT_DAMAGED', message: /tombstones/ });
    const index = await (await open({ access: 'read' })).loadIndex();
    assert.equal(index.count, 2);
  });

  it('leaves out an index object that is damaged, names it, and goes on', async (test) => {
    const made = await createRepository(test);
    const { repository, store } = made;
    const [kept] = await writeIndexObjects(repository, [await storePack(repository, [raws[0]])]);
    const [lost] = await writeIndexObjects(repository, [await storePack(repository, [raws[1]])]);
    const bytes = await store.get(lost!);
    for (const damage of [flipBit(bytes, 800), bytes.subarray(0, 70), await store.get(kept!)]) {
      await overwrite(made, lost!, damage);
      const index = await repository.loadIndex();
      assert.deepEqual(
        index.unreadable.map(({ name }) => name),
        [lost],
      );
      assert.equal(index.has(repository.keys.identifyChunk(raws[0])), true);
      const id = repository.keys.identifyChunk(raws[1]);
      assert.equal(index.has(id), false);
      await assert.rejects(repository.openChunkReader(index).readChunk(id), {
        code: 'CHUNK_ABSENT',
        detail: new RegExp(lost!),
      });
    }
  });

  it('fails when the store does, and leaves no temporary file open', async (test) => {
    const faulty = new FaultyStore(memoryStore());
    const { repository } = await createRepository(test, { store: faulty });
    const pack = makePack(Array.from({ length: 5000 }, () => randomBytes(32)));
    for (let i = 0; i < 3; i++) await writeIndexObjects(repository, [{ ...pack, packId: randomBytes(32) }]);
    const count = async () => (await readdir('/proc/self/fd')).length;
    const before = await count();
    faulty.plan({ kind: 'fail', call: 'get', name: 'index/', nth: 3 });
    await assert.rejects(repository.loadIndex(), { code: 'STORE_UNAVAILABLE' });
    assert.equal(await count(), before);
    faulty.heal();
    assert.equal((await repository.loadIndex()).count, 15_000);
  });
});

describe('the chunk reader', () => {
  const raw = Buffer.from('content');

  async function twoCopies(test: TestContext) {
    const made = await createRepository(test);
    const packs = [await storePack(made.repository, [raw]), await storePack(made.repository, [raw])] as const;
    await writeIndexObjects(made.repository, packs);
    const index = await made.repository.loadIndex();
    return { made, packs, index, id: made.repository.keys.identifyChunk(raw) };
  }

  it('takes another copy when one is damaged, cut or gone, and names all packs when none is left', async (test) => {
    const { made, packs, index, id } = await twoCopies(test);
    const { readChunk } = made.repository.openChunkReader(index);
    const bytes = await made.store.get(packs[0].name);
    for (const damage of [flipBit(bytes, 600), bytes.subarray(0, 70), null]) {
      await overwrite(made, packs[0].name, damage);
      assert.deepEqual(await readChunk(id), raw);
    }
    await overwrite(made, packs[0].name, flipBit(bytes, 600));
    await overwrite(made, packs[1].name, flipBit(await made.store.get(packs[1].name), 600));
    await assert.rejects(readChunk(id), (error: { code?: string; detail?: string }) => {
      assert.equal(error.code, 'CHUNK_DAMAGED');
      return packs.every(({ name }) => error.detail!.includes(name));
    });
    for (const { name } of packs) await made.store.delete(name);
    await assert.rejects(readChunk(id), { code: 'CHUNK_ABSENT' });
  });

  it('never calls a chunk damaged because the store could not be reached', async (test) => {
    const { made, packs, index, id } = await twoCopies(test);
    await overwrite(made, packs[0].name, null);
    const faulty = new FaultyStore(made.store).plan({ kind: 'fail', call: 'getRange', name: packs[1].name });
    const { readChunk } = (await made.open({ store: faulty })).openChunkReader(index);
    await assert.rejects(readChunk(id), { code: 'STORE_UNAVAILABLE', retryable: true });
  });
});
