import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { storeSmallLineage } from '../../../test/support/small-snapshot.ts';
import { memoryStore, type ObjectStore } from '../../repository/index.ts';
import { readWalInventory } from './inventory.ts';
import { fragmentObjectName, segmentObjectName } from './object-names.ts';

const system = '7000000000000000001';
const mebi = 1n << 20n;

/** A store in memory that keeps what is deleted under `/fragments/`, as a bucket with versions does, and counts what it lists of hidden names. */
function hidingStore(): ObjectStore & { marked: Set<string>; listed: number } {
  const below = memoryStore();
  const marked = new Set<string>();
  const store = Object.assign(Object.create(below) as ObjectStore, {
    ...{ marked, listed: 0, description: 'hiding' },
    protection: async () => ({ versioning: 'on', lock: 'off' }) as const,
    ...Object.fromEntries(
      (
        ['putIfAbsent', 'putFileIfAbsent', 'get', 'getRange', 'stat', 'spoolDirectory', 'putVolatile', 'now'] as const
      ).map((call) => [call, (below[call] as (...given: unknown[]) => unknown).bind(below)]),
    ),
    delete: async (name: string) => (name.includes('/fragments/') ? void marked.add(name) : below.delete(name)),
    async *list(prefix: string, options: { startAfter?: string; hidden?: boolean } = {}) {
      for await (const entry of below.list(prefix, options)) {
        if (options.hidden === true) store.listed += 1;
        if (options.hidden === true || !marked.has(entry.name)) yield entry;
      }
    },
  });
  return store;
}

describe('fragments under a marker', () => {
  it('are WAL as long as no whole segment has it, and what was joined is not listed', async (test) => {
    const store = hidingStore();
    const { repository } = await createRepository(test, { store });
    const { lineage } = await storeSmallLineage(repository);
    const place = { system, lineage };
    const putFragment = async (timeline: number, start: bigint, end: bigint) => {
      const name = fragmentObjectName(place, { timeline, start, end, receiver: '01'.repeat(8) });
      await repository.putBody('wal-fragment', name, randomBytes(16));
      return name;
    };
    const rangesOf = async (timeline: number) => {
      const { lineages } = await readWalInventory(repository);
      return (lineages[0]?.timelines.get(timeline)?.ranges ?? []).map(({ start, end }) => [start, end]);
    };
    // Segment 4 was joined from a hundred fragments; 5 is a hole that a marked fragment fills; 6 is whole; 7 has begun.
    for (let i = 0n; i < 100n; i++)
      await store.delete(await putFragment(1, 4n * mebi + i * 100n, 4n * mebi + (i + 1n) * 100n));
    const put = (number: string) =>
      repository.putBody('wal-segment', segmentObjectName(place, number), randomBytes(16));
    await put('000000010000000000000004');
    await put('000000010000000000000006');
    const tail = await putFragment(1, 7n * mebi, 7n * mebi + 500n);
    const hole = await putFragment(1, 5n * mebi, 6n * mebi);
    const other = await putFragment(2, 7n * mebi, 7n * mebi + 800n);
    const all = await rangesOf(1);
    assert.deepEqual(all.at(-1), [4n * mebi, 7n * mebi + 500n]);
    for (const name of [tail, hole, other]) await store.delete(name);
    store.listed = 0;
    assert.deepEqual(await rangesOf(1), all);
    assert.ok(store.listed < 20, `${store.listed} names were listed for what is hidden`);
    assert.deepEqual(await rangesOf(2), [[7n * mebi, 7n * mebi + 800n]]);
    await put('000000010000000000000007');
    const { lineages } = await readWalInventory(repository);
    assert.deepEqual(
      lineages[0]?.timelines
        .get(1)
        ?.fragments.map(({ objectName }) => objectName)
        .filter((name) => name === tail),
      [],
    );
  });
});
