import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { acquireLease, ChunkReader } from '../../repository/index.ts';
import { PageBundler } from './page-bundler.ts';
import { openStores } from './stages/open-stores.ts';

const PAGE = 8192;

interface Answer {
  id: Buffer;
  offset: number;
  fingerprint: Buffer;
}

/** Bundles these runs of neighbouring pages and gives where each page came to lie, with the size of its bundle in pages. */
async function bundle(test: TestContext, runs: readonly number[]) {
  const { repository } = await createRepository(test);
  const lease = await acquireLease(repository, { purpose: 'backup' });
  test.after(() => lease.release());
  const stores = await openStores({ repository, lease, workers: 1, level: 1 });
  test.after(() => stores[Symbol.asyncDispose]());
  const bundler = new PageBundler(stores.ingest);
  const pages: { bytes: Buffer; answer: Answer | null }[] = [];
  for (const count of runs) {
    for (let i = 0; i < count; i++) {
      const page = { bytes: randomBytes(PAGE), answer: null as Answer | null };
      pages.push(page);
      await bundler.add(page.bytes, i > 0, (id, offset, fingerprint) => {
        assert.equal(page.answer, null, 'a page is answered once');
        page.answer = { id, offset, fingerprint };
      });
    }
  }
  bundler.flush();
  await stores.ingest.finish();
  const reader = new ChunkReader({ store: repository.store, keys: repository.keys, index: stores.index });
  const sizes: number[] = [];
  for (const { bytes, answer } of pages) {
    const chunk = await reader.readChunk(answer!.id);
    assert.ok(chunk.subarray(answer!.offset, answer!.offset + PAGE).equals(bytes));
    assert.equal(answer!.fingerprint.length, 8);
    if (answer!.offset === 0) sizes.push(chunk.length / PAGE);
  }
  assert.equal(new Set(pages.map(({ answer }) => answer!.fingerprint.toString('hex'))).size, pages.length);
  return sizes;
}

describe('changed pages', () => {
  it('from here and there lie in bundles of 128 KiB, and the last in what is left', async (test) => {
    assert.deepEqual(await bundle(test, new Array(40).fill(1)), [16, 16, 8]);
  });

  it('that are neighbours lie in one chunk of up to 1 MiB', async (test) => {
    assert.deepEqual(await bundle(test, [300]), [128, 128, 44]);
  });

  it('keep their places where runs of all lengths mix, over many slabs', async (test) => {
    const sizes = await bundle(test, [1, 20, 3, 130, 1, 1, 16, 17, 400, 5]);
    assert.equal(
      sizes.reduce((sum, size) => sum + size),
      594,
    );
    assert.ok(sizes.every((size) => size <= 128));
  });

  it('are none: then nothing is stored', async (test) => {
    assert.deepEqual(await bundle(test, []), []);
  });
});
