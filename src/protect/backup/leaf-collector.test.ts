import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { storePack } from '../../../test/support/small-snapshot.ts';
import type { ChunkIndex, Extent } from '../../repository/index.ts';
import { LeafCollector, SLOT_BYTES, SLOT_CHUNKS_MAX } from './leaf-collector.ts';

const PAGE = 8192;

/** A leaf whose second slot lies in so many chunks of an older backup, and the index that knows them. */
async function leafIn(test: TestContext, chunks: number): Promise<{ leaf: LeafCollector; index: ChunkIndex }> {
  const { repository } = await createRepository(test);
  const contents = Array.from({ length: chunks + 1 }, () => randomBytes(PAGE));
  await storePack(repository, 'data', contents);
  const extents: Extent[] = contents.map((raw, i) => {
    const id = repository.keys.identifyChunk(raw);
    // The first chunk is the first slot, the last one all that the others leave of the second.
    const length = i === 0 ? SLOT_BYTES : i === chunks ? SLOT_BYTES - (chunks - 1) * PAGE : PAGE;
    return { form: 'chunk', id, offset: 0, length };
  });
  const fingerprints = Buffer.alloc((2 * SLOT_BYTES) / 1024);
  const index = await repository.loadIndex();
  test.after(() => index.close());
  return { leaf: new LeafCollector({ extents, fingerprints }, () => {}), index };
}

describe('a slot of an older backup', () => {
  it('is patched while it lies in few chunks, kept or stored whole at the limit, and stored whole behind it', async (test) => {
    const patchable: (boolean | undefined)[] = [];
    for (const chunks of [SLOT_CHUNKS_MAX - 1, SLOT_CHUNKS_MAX, SLOT_CHUNKS_MAX + 1]) {
      const { leaf, index } = await leafIn(test, chunks);
      assert.equal(leaf.previousSlot(0, index)?.patchable, true, 'the slot before it is not concerned');
      patchable.push(leaf.previousSlot(1, index)?.patchable);
    }
    assert.deepEqual(patchable, [true, false, undefined]);
  });

  it('is none behind the end of the older file', async (test) => {
    const { leaf, index } = await leafIn(test, 2);
    assert.equal(leaf.previousSlot(2, index), null);
  });
});
