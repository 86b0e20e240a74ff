import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { ChunkPacker } from './chunk-packer.ts';
import { PackDepot } from './pack-depot.ts';

describe('the packer of single chunks', () => {
  it('loses none when many are handed over at once, and stores equal ones once', async (test) => {
    const { repository, store } = await createRepository(test);
    const index = await repository.loadIndex();
    const depot = new PackDepot(repository, index);
    const packer = new ChunkPacker({ repository, index, depot, content: 'tree' });
    const raws = Array.from({ length: 40 }, (_, i) => randomBytes(100 + i));
    const ids = await Promise.all([...raws, ...raws].map((raw) => packer.store(raw)));
    await packer.finish();
    const opened = await repository.loadIndex();
    const { readChunk } = repository.openChunkReader(opened);
    for (const [i, id] of ids.entries()) assert.deepEqual(await readChunk(id), raws[i % raws.length]);
    assert.equal(opened.count, raws.length);
    assert.deepEqual(await readdir(await store.spoolDirectory()), []);
  });
});
