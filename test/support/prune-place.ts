import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import {
  listSnapshots,
  listTreeChunks,
  memoryStore,
  type ObjectStore,
  type Repository,
} from '../../src/repository/index.ts';
import { backUpChunks, type ChunkBackupOptions, type ChunkFiles } from './chunk-backup.ts';
import { namesIn } from './listing.ts';
import { createRepository } from './memory-repository.ts';
import { SteppedClock } from './odd-clocks.ts';
import { type PruneOnceOptions, pruneOnce } from './prune-once.ts';
import { seededRandom } from './seeded-random.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** A repository in memory whose time stands still until the test lets it pass. */
export async function makePrunePlace(test: TestContext, wrap: (store: ObjectStore) => ObjectStore = (store) => store) {
  const clock = new SteppedClock();
  const inner = memoryStore({ clock });
  const { open } = await createRepository(test, { store: wrap(inner), clock });
  const repository = await open({ access: 'prune' });
  const random = seededRandom(7);
  const chunk = () => random.bytes(3000);
  const names = (prefix: string) => namesIn(inner, prefix);
  const prune = async (options?: PruneOnceOptions) => {
    const done = await pruneOnce(repository, options);
    const told = done.result.waiting.map(({ name }) => name);
    assert.equal(new Set(told).size, told.length, 'what stays is told once');
    return done;
  };
  const backUp = async (files: ChunkFiles, options?: ChunkBackupOptions) => {
    const snapshot = await backUpChunks(repository, files, options);
    clock.step(3 * MINUTE_MS);
    return snapshot;
  };
  return { open, clock, inner, repository, chunk, names, prune, backUp };
}

/** Prunes once a day until there is nothing left to be done. */
export async function pruneForDays(clock: SteppedClock, prune: () => Promise<unknown>, days: number): Promise<void> {
  for (let day = 0; day < days; day++) {
    clock.step(DAY_MS);
    await prune();
  }
}

/** Each chunk of the snapshots lies in one pack, all packs are needed and named, and nothing tells of what is gone. */
export async function assertClean(repository: Repository): Promise<void> {
  const { snapshots, damaged } = await listSnapshots(repository);
  assert.deepEqual(damaged, []);
  const index = await repository.loadIndex();
  const { readChunk } = repository.openChunkReader(index);
  const needed = new Set<string>();
  for (const { tree } of snapshots) {
    for await (const { id } of listTreeChunks(tree.root, readChunk)) {
      const [location] = index.lookup(id);
      needed.add(`packs/${location!.packId.toString('hex')}`);
    }
  }
  const indexed = [...index.listPacks()].map(({ packId }) => `packs/${packId.toString('hex')}`).sort();
  index.close();
  assert.deepEqual(await namesIn(repository.store, 'packs/'), indexed);
  assert.deepEqual(indexed, [...needed].sort());
  for (const prefix of ['tombstones/', 'volatile/', 'damage/'])
    assert.deepEqual(await namesIn(repository.store, prefix), []);
}
