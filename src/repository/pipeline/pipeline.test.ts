import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { storeWith } from '../../../test/support/store-with.ts';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { ChunkIndex, loadIndex } from '../index/index.ts';
import { KeyRing } from '../key/index.ts';
import { openDiskStore } from '../object-store/index.ts';
import { SealedObjects } from '../sealed/index.ts';
import {
  ChunkPacker,
  ExtractPipeline,
  IngestPipeline,
  type IngestResult,
  PackDepot,
  SLAB_BYTES,
  type ThreadStart,
} from './index.ts';

const directory = mkdtempSync(join(tmpdir(), 'holdfast-pipeline-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const keys = KeyRing.fromMaterial({
  repositoryId: randomBytes(16),
  epochs: [{ epoch: 1, key: randomBytes(32) }],
  chunkIdKey: randomBytes(32),
  fingerprintKey: randomBytes(32),
  signingSeed: randomBytes(32),
});

let repositories = 0;

async function makeRepository() {
  const path = join(directory, `repository-${++repositories}`);
  mkdirSync(path);
  const store = openDiskStore(path);
  return { path, objects: new SealedObjects({ store, keys, clock: systemClock, access: 'write' }) };
}

interface Piece {
  bytes: Buffer;
  paged?: boolean;
}

/** Ingests pieces in slabs of as many as fit, and gives their identities in order. */
async function ingest(
  objects: SealedObjects,
  index: ChunkIndex,
  pieces: readonly Piece[],
  threads: ThreadStart = 'at-once',
): Promise<{ ids: Buffer[]; fingerprints: (Buffer | null)[]; result: IngestResult }> {
  const depot = new PackDepot(objects, index);
  const pipeline = await IngestPipeline.open({ repository: objects, index, depot, workers: 2, level: 1, threads });
  const ids: Buffer[] = [];
  const fingerprints: (Buffer | null)[] = [];
  try {
    let slab = await pipeline.acquireSlab();
    let used = 0;
    for (const [number, { bytes, paged }] of pieces.entries()) {
      const aligned = Math.ceil(used / 8192) * 8192;
      if (aligned + bytes.length > SLAB_BYTES) {
        pipeline.submit(slab);
        slab = await pipeline.acquireSlab();
        used = 0;
      } else used = aligned;
      slab.bytes.set(bytes, used);
      slab.addPiece(used, bytes.length, paged ?? false, (id, prints) => {
        ids[number] = id;
        fingerprints[number] = prints;
      });
      used += bytes.length;
    }
    pipeline.submit(slab);
    return { ids, fingerprints, result: await pipeline.finish() };
  } finally {
    await pipeline.abandon();
  }
}

async function extract(objects: SealedObjects, index: ChunkIndex, ids: readonly Buffer[], sizes: readonly number[]) {
  const path = join(directory, `file-${randomBytes(4).toString('hex')}`);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  writeFileSync(path, '');
  truncateSync(path, total);
  const pipeline = new ExtractPipeline({ repository: objects, index, workers: 2 });
  try {
    let fileOffset = 0;
    for (const [number, id] of ids.entries()) {
      await pipeline.addExtent(id, { path, fileOffset, chunkOffset: 0, length: sizes[number]! });
      fileOffset += sizes[number]!;
    }
    await pipeline.finish();
    return readFileSync(path);
  } finally {
    await pipeline.abandon();
  }
}

function makePieces(count: number): Piece[] {
  return Array.from({ length: count }, (_, i) => {
    const random = randomBytes(8192 * (1 + (i % 128)));
    return { bytes: i % 3 === 0 ? random : Buffer.alloc(random.length, i), paged: i % 2 === 0 };
  });
}

test('what went in comes out, by way of the index that was stored', async () => {
  const { objects } = await makeRepository();
  const pieces = makePieces(200);
  const { ids, fingerprints, result } = await ingest(objects, new ChunkIndex(), pieces);
  const index = await loadIndex(objects);
  const sizes = pieces.map(({ bytes }) => bytes.length);
  const out = await extract(objects, index, ids, sizes);
  assert.ok(out.equals(Buffer.concat(pieces.map(({ bytes }) => bytes))));
  assert.equal(index.count, result.newChunks);
  for (const [i, piece] of pieces.entries()) {
    assert.deepEqual(ids[i], keys.identifyChunk(piece.bytes));
    assert.equal(fingerprints[i]?.length ?? null, piece.paged ? piece.bytes.length / 1024 : null);
  }
  index.close();
});

test('stores equal chunks once, within one run and across runs', async () => {
  const { objects } = await makeRepository();
  const same = randomBytes(SLAB_BYTES);
  const pieces = [...Array.from({ length: 40 }, () => ({ bytes: same })), { bytes: randomBytes(SLAB_BYTES) }];
  const first = await ingest(objects, new ChunkIndex(), pieces);
  assert.equal(first.result.newChunks, 2);
  const index = await loadIndex(objects);
  const second = await ingest(objects, index, pieces);
  assert.deepEqual([second.result.newChunks, second.result.storedBytes], [0, 0]);
  assert.deepEqual(second.ids, first.ids);
  index.close();
});

test('closes packs at 64 MiB and leaves nothing in the spool', async () => {
  const { path, objects } = await makeRepository();
  const pieces = Array.from({ length: 150 }, () => ({ bytes: randomBytes(SLAB_BYTES) }));
  const { result } = await ingest(objects, new ChunkIndex(), pieces);
  const packs = readdirSync(join(path, 'packs'));
  assert.ok(packs.length >= 3 && packs.length <= 5, `packs: ${packs.length}`);
  let bytes = 0;
  for (const pack of packs) {
    const size = (await objects.store.stat(`packs/${pack}`))!.size;
    assert.ok(size <= 64 << 20, `pack of ${size} bytes`);
    bytes += size;
  }
  assert.equal(bytes, result.storedBytes);
  assert.deepEqual(readdirSync(await objects.store.spoolDirectory()), []);
});

for (const threads of ['at-once', 'when-needed'] as const) {
  test(`gives the error of a worker with its code, its detail and its hints: threads ${threads}`, async () => {
    const { objects } = await makeRepository();
    const spool = await objects.store.spoolDirectory();
    const index = new ChunkIndex();
    const depot = new PackDepot(objects, index);
    const pipeline = await IngestPipeline.open({ repository: objects, index, depot, workers: 1, level: 1, threads });
    rmSync(spool, { recursive: true });
    const slab = await pipeline.acquireSlab();
    slab.bytes.set(randomBytes(10_000), 0);
    slab.addPiece(0, 10_000, false, () => undefined);
    pipeline.submit(slab);
    await assert.rejects(pipeline.finish(), (error: unknown) => {
      assert.ok(error instanceof HoldfastError);
      assert.equal(error.code, 'STORE_FAILED');
      assert.match(error.detail ?? '', /ENOENT/);
      return true;
    });
    await pipeline.abandon();
    index.close();
  });
}

test('threads that are started when they are needed are none for a little, and all for much, and the chunks are the same', async () => {
  let started = 0;
  const count = () => {
    started += 1;
  };
  subscribe('worker_threads', count);
  try {
    for (const [slabs, expected] of [
      [15, 0],
      [16, 1],
      [64, 2],
    ] as const) {
      const { objects } = await makeRepository();
      const pieces = Array.from({ length: slabs }, () => ({ bytes: randomBytes(SLAB_BYTES), paged: true }));
      started = 0;
      const later = await ingest(objects, new ChunkIndex(), pieces, 'when-needed');
      assert.equal(started, expected, `threads for ${slabs} slabs`);
      const index = await loadIndex(objects);
      const atOnce = await ingest(objects, index, pieces);
      assert.deepEqual([atOnce.ids, atOnce.fingerprints], [later.ids, later.fingerprints]);
      assert.equal(atOnce.result.newChunks, 0, 'the index names all of them');
      index.close();
    }
  } finally {
    unsubscribe('worker_threads', count);
  }
});

test('what the main thread began to pack is not left in the spool when all is given up', async () => {
  const { objects } = await makeRepository();
  const index = new ChunkIndex();
  const depot = new PackDepot(objects, index);
  const how = { repository: objects, index, depot, workers: 1, level: 1 };
  const pipeline = await IngestPipeline.open({ ...how, threads: 'when-needed' });
  const slab = await pipeline.acquireSlab();
  slab.bytes.set(randomBytes(10_000), 0);
  slab.addPiece(0, 10_000, false, () => undefined);
  pipeline.submit(slab);
  await pipeline.settle();
  assert.equal(readdirSync(await objects.store.spoolDirectory()).length, 1);
  await pipeline.abandon();
  assert.deepEqual(readdirSync(await objects.store.spoolDirectory()), []);
  index.close();
});

test('whoever waits for the last packs hears when all is given up', async () => {
  const { objects } = await makeRepository();
  const index = new ChunkIndex();
  const depot = new PackDepot(objects, index);
  const pipeline = await IngestPipeline.open({ repository: objects, index, depot, workers: 1, level: 1 });
  const sealed = assert.rejects(pipeline.seal(), { code: 'INGEST_ABANDONED' });
  // The worker was asked to finish, and is ended before it can answer.
  await pipeline.abandon();
  await sealed;
  index.close();
});

test('names the file and the pack when a chunk is damaged, and writes none of it', async () => {
  const { path, objects } = await makeRepository();
  const pieces = [{ bytes: randomBytes(100_000) }, { bytes: randomBytes(100_000) }];
  const { ids } = await ingest(objects, new ChunkIndex(), pieces);
  const index = await loadIndex(objects);
  const [location] = index.lookup(ids[1]!);
  const pack = join(path, 'packs', location!.packId.toString('hex'));
  const stored = readFileSync(pack);
  stored[location!.offset + 5_000]! ^= 1;
  writeFileSync(pack, stored);
  await assert.rejects(extract(objects, index, ids, [100_000, 100_000]), {
    code: 'CHUNK_DAMAGED',
    detail: new RegExp(location!.packId.toString('hex')),
  });
  index.close();
});

test('takes a chunk from another pack when one of them is damaged or gone', async () => {
  const { objects } = await makeRepository();
  const pieces = [{ bytes: randomBytes(100_000) }];
  const first = await ingest(objects, new ChunkIndex(), pieces);
  // A second writer that does not know the first stores the chunk again.
  await ingest(objects, new ChunkIndex(), pieces);
  const index = await loadIndex(objects);
  const locations = index.lookup(first.ids[0]!);
  assert.equal(locations.length, 2);
  await objects.store.delete(`packs/${locations[0]!.packId.toString('hex')}`);
  const out = await extract(objects, index, first.ids, [100_000]);
  assert.ok(out.equals(pieces[0]!.bytes));
  index.close();
});

test('says which chunk no index names', async () => {
  const { objects } = await makeRepository();
  const index = new ChunkIndex();
  await assert.rejects(extract(objects, index, [randomBytes(32)], [10]), { code: 'CHUNK_ABSENT' });
  index.close();
});

for (const threads of ['at-once', 'when-needed'] as const) {
  test(`an error of whoever is told of a piece ends the work, not the program: threads ${threads}`, async () => {
    const { objects } = await makeRepository();
    const index = new ChunkIndex();
    const depot = new PackDepot(objects, index);
    const pipeline = await IngestPipeline.open({ repository: objects, index, depot, workers: 1, level: 1, threads });
    const slab = await pipeline.acquireSlab();
    slab.addPiece(0, 10_000, false, () => {
      throw new Error('no room for the answer');
    });
    pipeline.submit(slab);
    await assert.rejects(pipeline.finish(), /no room for the answer/);
    await pipeline.abandon();
    index.close();
  });
}

test('a failing store ends the work with its own error', async () => {
  const { objects } = await makeRepository();
  const broken = storeWith(objects.store, {
    putFileIfAbsent: () => Promise.reject(new Error('the disk is gone')),
  });
  const failing = new SealedObjects({ store: broken, keys, clock: systemClock, access: 'write' });
  const pieces = Array.from({ length: 100 }, () => ({ bytes: randomBytes(SLAB_BYTES) }));
  await assert.rejects(ingest(failing, new ChunkIndex(), pieces), /the disk is gone/);
});

test('the packer of single chunks stores each once and names it in the index', async () => {
  const { objects } = await makeRepository();
  const index = new ChunkIndex();
  const packer = new ChunkPacker({ repository: objects, index, depot: new PackDepot(objects, index), content: 'tree' });
  const raw = randomBytes(5_000);
  const [one, two] = [await packer.store(raw), await packer.store(raw)];
  assert.deepEqual(one, two);
  await packer.finish();
  assert.equal(packer.newChunks, 1);
  const loaded = await loadIndex(objects);
  assert.equal(loaded.lookup(one)[0]!.content, 'tree');
  loaded.close();
});
