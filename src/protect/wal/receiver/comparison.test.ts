import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { Comparison, type Damaged } from './comparison.ts';

const START = 0x1_0000_0000n;

/** Two overlapping fragments and, behind a gap, a third. */
async function stored(test: TestContext) {
  const made = await createRepository(test);
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, START + 100_000n);
  const lineage = await LineageWriter.create(made.repository);
  const bounds = [
    [0n, 20_000n],
    [15_000n, 40_000n],
    [60_000n, 80_000n],
  ] as const;
  const objects = [];
  for (const [from, to] of bounds) {
    const objectName = await lineage.fragment(wal, START + from, START + to);
    objects.push({
      kind: 'wal-fragment' as const,
      start: START + from,
      end: START + to,
      comparedEnd: START + to,
      objectName,
    });
  }
  const bytes = wal.bytes().subarray(0, 100_000);
  return { ...made, bytes, objects };
}

/** Feeds bytes in pieces; gives the first difference as an offset. */
async function feed(comparison: Comparison, bytes: Buffer, sizes: readonly number[], from = 0): Promise<number | null> {
  for (let at = from, i = 0; at < bytes.length; i++) {
    const piece = bytes.subarray(at, at + sizes[i % sizes.length]!);
    const found = await comparison.check(START + BigInt(at), piece);
    if (found !== null) return Number(found.lsn - START);
    at += piece.length;
  }
  return null;
}

describe('comparing what arrives with what is stored', () => {
  it('finds no difference in equal bytes, whatever the pieces, and counts each stored byte', async (test) => {
    const { repository, bytes, objects } = await stored(test);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
        if (Math.max(...sizes) < 500) sizes.push(30_000);
        const comparison = new Comparison(repository, objects, () => assert.fail('nothing is damaged'));
        assert.equal(await feed(comparison, bytes, sizes), null);
        assert.equal(comparison.comparedBytes, 20_000n + 25_000n + 20_000n);
      }),
      { numRuns: 20 },
    );
  });

  it('finds the first byte that differs, in every stored place and in no other', async (test) => {
    const { repository, bytes, objects } = await stored(test);
    const isStored = (at: number) => at < 40_000 || (at >= 60_000 && at < 80_000);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 99_999 }), fc.integer({ min: 700, max: 50_000 }), async (at, size) => {
        const changed = Buffer.from(bytes);
        changed[at]! ^= 0x10;
        const comparison = new Comparison(repository, objects, () => assert.fail('nothing is damaged'));
        assert.equal(await feed(comparison, changed, [size]), isStored(at) ? at : null);
      }),
      { numRuns: 40 },
    );
  });

  it('does not compare beyond where a timeline was left, nor what lies before the first byte that arrives', async (test) => {
    const { repository, bytes, objects } = await stored(test);
    const changed = Buffer.from(bytes);
    changed[30_000]! ^= 1;
    changed[500]! ^= 1;
    const clipped = objects.map((object) => ({
      ...object,
      comparedEnd: object.end > START + 30_000n ? START + 30_000n : object.end,
    }));
    const comparison = new Comparison(repository, clipped, () => assert.fail('nothing is damaged'));
    assert.equal(await feed(comparison, changed, [7_000], 1_000), null);
  });

  it('tells of a damaged object once, and of an absent one, and goes on with the others', async (test) => {
    const { repository, store, bytes, objects } = await stored(test);
    const [first, second] = objects;
    const sealed = await store.get(first!.objectName);
    sealed[sealed.length - 5]! ^= 1;
    await store.delete(first!.objectName);
    await store.putIfAbsent(first!.objectName, sealed);
    await store.delete(second!.objectName);
    const told: string[] = [];
    const onDamage: Damaged = (object) => told.push(object.objectName);
    const comparison = new Comparison(repository, objects, onDamage);
    assert.equal(await feed(comparison, bytes, [9_000]), null);
    assert.deepEqual(told.sort(), [first!.objectName, second!.objectName].sort());
    const changed = Buffer.from(bytes);
    changed[70_000]! ^= 1;
    assert.equal(await feed(new Comparison(repository, objects, () => {}), changed, [9_000]), 70_000);
  });

  it('goes on with the segment that took the place of a fragment which another receiver has joined', async (test) => {
    const { repository, store, bytes, objects } = await stored(test);
    const wal = new WalBuilder({ startLsn: START });
    fillTo(wal, START + 2n * 1024n * 1024n);
    const lineage = await LineageWriter.create(repository, { id: 'b' });
    const joined = {
      ...{ kind: 'wal-segment' as const, start: START, end: START + 1024n * 1024n, comparedEnd: START + 1024n * 1024n },
      objectName: await lineage.segment(wal, START / (1024n * 1024n)),
    };
    for (const { objectName } of objects) await store.delete(objectName);
    const damaged: string[] = [];
    const onDamage: Damaged = ({ objectName }) => void damaged.push(objectName);
    const comparison = new Comparison(repository, objects, onDamage, async () => [joined]);
    assert.equal(await feed(comparison, bytes, [7000]), null);
    assert.deepEqual(damaged, []);
    assert.ok(comparison.comparedBytes >= 99_000n, `${comparison.comparedBytes}`);
    const other = Buffer.from(bytes);
    other[50_000]! ^= 1;
    const again = new Comparison(repository, objects, onDamage, async () => [joined]);
    assert.equal(await feed(again, other, [7000]), 50_000, 'what took its place is compared, too');
    const lost = new Comparison(repository, objects, onDamage, async () => []);
    assert.equal(await feed(lost, bytes, [7000]), null);
    assert.equal(damaged.length, 3, 'what nothing took the place of is damage');
  });
});
