import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import type { WalEvent } from '../events.ts';
import { readWalInventory } from '../inventory.ts';
import { readSegment } from '../read-segment.ts';
import { sweepFragments } from './sweep.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;

function makeWal(systemId = 7n): WalBuilder {
  const wal = new WalBuilder({ startLsn: START, systemId });
  fillTo(wal, START + 3n * MIB);
  return wal;
}

/** Sweeps what `store` has written; gives what is there afterwards, and what was told. */
async function sweep(
  test: TestContext,
  write: (lineage: LineageWriter, made: Awaited<ReturnType<typeof createRepository>>) => Promise<void>,
  before = START + 3n * MIB,
) {
  const made = await createRepository(test);
  await write(await LineageWriter.create(made.repository), made);
  const lineage = (await readWalInventory(made.repository)).lineages[0]!;
  const events: WalEvent[] = [];
  await sweepFragments({
    ...{ repository: made.repository, lineage, before, signal: new AbortController().signal },
    emit: (event) => void events.push(event),
  });
  const inventory = await readWalInventory(made.repository);
  const { segments, fragments } = inventory.lineages[0]!.timelines.get(1)!;
  const starts = fragments.map(({ start }) => start - START);
  return { ...made, inventory, segments: [...segments.keys()].map((number) => number - FIRST), starts, events };
}

describe('what receivers before left', () => {
  it('is deleted when its segment is stored, joined when it makes up one, and kept when it does not', async (test) => {
    const wal = makeWal();
    const { repository, inventory, segments, starts, events } = await sweep(test, async (lineage) => {
      await lineage.segment(wal, FIRST);
      await lineage.fragment(wal, START + 5_000n, START + 90_000n);
      await lineage.fragment(wal, START + MIB, START + MIB + 600_000n);
      await lineage.fragment(wal, START + MIB + 500_000n, START + 2n * MIB);
      await lineage.fragment(wal, START + 2n * MIB, START + 2n * MIB + 10_000n);
    });
    assert.deepEqual([segments, starts], [[0n, 1n], [2n * MIB]]);
    assert.deepEqual(events, [{ kind: 'segment-stored', segmentName: '000000010000000100000001' }]);
    const reference = { lineage: 'a'.repeat(64), timeline: 1, segmentNumber: FIRST + 1n };
    const { bytes } = await readSegment(repository, inventory, reference);
    assert.ok(bytes.equals(wal.bytes().subarray(Number(MIB), 2 * Number(MIB))));
  });

  it('is left to the stream from where that began, unless its segment is stored', async (test) => {
    const wal = makeWal();
    const write = async (lineage: LineageWriter) => {
      await lineage.fragment(wal, START, START + MIB);
      await lineage.segment(wal, FIRST + 1n);
      await lineage.fragment(wal, START + MIB, START + MIB + 5_000n);
    };
    const { segments, starts } = await sweep(test, write, START);
    assert.deepEqual([segments, starts], [[1n], [0n]]);
  });

  it('is kept, with an alarm, when fragment and segment differ or the segment is damaged', async (test) => {
    const wal = makeWal();
    const { events, starts } = await sweep(test, async (lineage, { store }) => {
      await lineage.segment(wal, FIRST);
      await lineage.fragment(makeWal(8n), START, START + 90_000n);
      const damaged = await lineage.segment(wal, FIRST + 1n);
      await lineage.fragment(wal, START + MIB, START + MIB + 5_000n);
      const sealed = await store.get(damaged);
      sealed[2_000]! ^= 1;
      await store.delete(damaged);
      await store.putIfAbsent(damaged, sealed);
    });
    const codes = events.map((event) => event.kind === 'alarm' && event.error.code);
    assert.deepEqual(codes, ['WAL_SEGMENT_DIFFERS', 'OBJECT_DAMAGED']);
    assert.deepEqual(starts, [0n, MIB]);
  });

  it('is kept, with an alarm, when it makes up a segment that is no sound WAL', async (test) => {
    const { events, segments, starts } = await sweep(test, (lineage) =>
      lineage.fragment(makeWal(8n), START, START + MIB).then(() => {}),
    );
    assert.deepEqual(
      events.map((event) => event.kind === 'alarm' && event.error.code),
      ['WAL_SEGMENT_UNSOUND'],
    );
    assert.deepEqual([segments, starts], [[], [0n]]);
  });
});
