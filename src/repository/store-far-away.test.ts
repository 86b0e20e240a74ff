import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { type DelayedStore, delayStore } from '../../test/support/delayed-store.ts';
import { createRepository, type TestRepository } from '../../test/support/memory-repository.ts';
import { attest, listAttestations } from './attestation/index.ts';
import { kindPrefix } from './codec/index.ts';
import { ChunkReader, encodeIndex } from './index/index.ts';
import { acquireLease } from './lease/index.ts';
import { memoryStore } from './object-store/index.ts';
import { ChunkPacker, PackDepot } from './pipeline/index.ts';
import type { Repository } from './repository.ts';
import { getBodyStream, putBodyStream } from './sealed/index.ts';
import { commitSnapshot, newSnapshotId } from './snapshot/index.ts';
import { readTree, type TreeEntry, TreeWriter } from './tree/index.ts';

/** Far longer than what is done between two calls here. */
const DELAY_MS = 25;

/** What a repository's reader asks of a store that is far away. */
async function openFarAway(test: TestContext, fill: (made: TestRepository) => Promise<void>) {
  const store = memoryStore();
  const made = await createRepository(test, { store });
  await fill(made);
  const far = delayStore(store, DELAY_MS);
  const repository = await made.open({ store: far.store });
  return { repository, far };
}

/** The calls in a row that some work takes, with the longest row for whoever finds too many. */
async function countRow(far: DelayedStore, work: () => Promise<unknown>): Promise<{ calls: number; row: string }> {
  far.reset();
  await work();
  return { calls: far.callsInARow, row: `\n${far.longestRow().join('\n')}` };
}

async function fillIndex(repository: Repository, objects: number): Promise<void> {
  for (let i = 0; i < objects; i++) {
    const packId = Buffer.alloc(32, i + 1);
    const entries = Buffer.alloc(40, i + 1);
    entries.writeUInt32LE(116, 32);
    entries.writeUInt32LE(100, 36);
    await repository.putDrawn(
      'index',
      kindPrefix('index'),
      encodeIndex([{ packId, content: 'data', epoch: 1, entries }]),
    );
  }
}

async function commitOne(repository: Repository): Promise<void> {
  await commitSnapshot(repository, {
    ...{ version: 1, id: newSnapshotId(), kind: 'base-backup', cluster: 'main', writer: 'ab'.repeat(16) },
    ...{ startedAt: '2026-03-01T10:00:00.000Z', completedAt: '2026-03-01T10:05:00.000Z' },
    tree: { root: 'cd'.repeat(32), files: 3, bytes: 8 },
    stored: { newChunks: 2, newBytes: 1000, storedBytes: 300 },
    wal: { system: '7', lineage: 'ef'.repeat(32), timeline: 1, start: '0/2000028', end: '0/2000100' },
    details: {},
  });
}

/** A tree of so many files of 16 MiB, each with a map of two leaves; gives its root. */
async function storeTree(repository: Repository, files: number): Promise<string> {
  const index = await repository.loadIndex();
  const packer = new ChunkPacker({ repository, index, depot: new PackDepot(repository, index), content: 'tree' });
  const writer = new TreeWriter((raw) => packer.store(raw));
  for (let i = 0; i < files; i++) {
    const path = `data/base/16384/${String(i).padStart(6, '0')}`;
    const leaves = [randomBytes(32), randomBytes(32)];
    const entry = { type: 'file', path, mode: 0o600, mtimeMs: 0, size: 16 << 20 } as const;
    await writer.add({ ...entry, content: { form: 'split', leaves } } satisfies TreeEntry);
  }
  const { root } = await writer.finish();
  await packer.finish();
  index.close();
  return root;
}

describe('a store that is far away', () => {
  it('is opened, and its index is loaded, with a few calls in a row, however many objects there are', async (test) => {
    const { repository, far } = await openFarAway(test, async (made) => fillIndex(made.repository, 60));
    assert.ok(far.callsInARow <= 3, `opening:\n${far.longestRow().join('\n')}`);
    const loading = await countRow(far, async () => (await repository.loadIndex()).close());
    assert.ok(loading.calls <= 3, loading.row);
  });

  it('gives snapshots and statements about them with two calls in a row for each sixteen', async (test) => {
    const snapshot = newSnapshotId();
    const { repository, far } = await openFarAway(test, async (made) => {
      for (let i = 0; i < 16; i++) await commitOne(made.repository);
      for (let i = 0; i < 16; i++) await attest(made.repository, { snapshot, level: 'stored', facts: {} });
    });
    const listing = await countRow(far, () => repository.listSnapshots());
    assert.ok(listing.calls <= 2, listing.row);
    const attested = await countRow(far, () => listAttestations(repository, snapshot));
    assert.ok(attested.calls <= 2, attested.row);
  });

  it('grants a lease with two calls in a row, and renews it with two', async (test) => {
    const { repository, far } = await openFarAway(test, async () => {});
    let lease = await acquireLease(repository, { purpose: 'backup' });
    await lease.release();
    const taking = await countRow(far, async () => {
      lease = await acquireLease(repository, { purpose: 'backup' });
    });
    assert.equal(taking.calls, 2, taking.row);
    const renewing = await countRow(far, () => lease.renew());
    assert.equal(renewing.calls, 2, renewing.row);
    await lease.release();
  });

  it('gives the whole of a small tree with one or two calls in a row, and a large one in windows ahead of the reader', async (test) => {
    const roots = { small: '', large: '' };
    const { repository, far } = await openFarAway(test, async (made) => {
      roots.small = await storeTree(made.repository, 500);
      roots.large = await storeTree(made.repository, 60_000);
    });
    const index = await repository.loadIndex();
    const read = async (root: string) => {
      let files = 0;
      const { readChunk } = new ChunkReader({ store: repository.store, keys: repository.keys, index });
      for await (const _ of readTree(root, readChunk)) files += 1;
      return files;
    };
    const small = await countRow(far, async () => assert.equal(await read(roots.small), 500));
    assert.ok(small.calls <= 2, small.row);
    const large = await countRow(far, async () => assert.equal(await read(roots.large), 60_000));
    const requests = far.calls.length;
    // The nodes lie one behind the other: of those that are fetched ahead, most come with the window that is there.
    assert.ok(requests >= 12 && requests <= 40, `${requests} windows`);
    assert.ok(large.calls < requests, `${requests} windows:${large.row}`);
    assert.ok(far.rangeBytesMax <= 8 * (256 << 10), `${far.rangeBytesMax} bytes on their way`);
    index.close();
  });

  it('gives a large body by requests that overlap, of which no more than two are under way', async (test) => {
    const place = { kind: 'wal-segment', name: 'wal/7/a/segments/b' } as const;
    const { repository, far } = await openFarAway(test, async (made) => {
      await putBodyStream(made.repository, place, randomPieces(20));
    });
    const read = async (size?: number) => {
      let bytes = 0;
      const stream = getBodyStream(repository, { ...place, ...(size === undefined ? {} : { size }) });
      for await (const piece of stream) bytes += piece.length;
      assert.equal(bytes, 20 << 20);
    };
    const asked = await countRow(far, () => read());
    assert.ok(asked.calls <= 1 + 3, asked.row);
    assert.ok(far.rangeBytesMax <= 8 << 20, `${far.rangeBytesMax} bytes on their way`);
    const size = (await repository.store.stat(place.name))!.size;
    const told = await countRow(far, () => read(size));
    assert.ok(told.calls <= 3, told.row);
  });
});

/** So many MiB that cannot be compressed much. */
async function* randomPieces(count: number): AsyncGenerator<Buffer, void> {
  const piece = Buffer.alloc(1 << 20);
  let state = 1;
  for (let i = 0; i < count; i++) {
    for (let at = 0; at < piece.length; at += 4) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      piece.writeUInt32LE(state, at);
    }
    yield piece;
  }
}
