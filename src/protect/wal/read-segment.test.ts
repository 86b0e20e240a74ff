import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../../test/support/wal-lineage.ts';
import type { HoldfastError } from '../../lib/index.ts';
import type { Repository } from '../../repository/index.ts';
import { contiguousEnd, describeContinuity } from './continuity.ts';
import { readWalInventory } from './inventory.ts';
import { listRecoveryFiles, readSegment } from './read-segment.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;

function makeWal(segments: number): WalBuilder {
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, START + BigInt(segments) * MIB);
  return wal;
}

async function segmentOf(repository: Repository, segmentNumber: bigint, timeline = 1) {
  const inventory = await readWalInventory(repository);
  return readSegment(repository, inventory, { lineage: 'a'.repeat(64), timeline, segmentNumber });
}

/** Changes one byte of an object in the middle. */
async function damage(test: TestContext, objectName: string, made: Awaited<ReturnType<typeof createRepository>>) {
  const bytes = await made.store.get(objectName);
  bytes[bytes.length >> 1]! ^= 1;
  await made.store.delete(objectName);
  await made.store.putIfAbsent(objectName, bytes);
  test.diagnostic(`damaged ${objectName}`);
}

describe('a segment that is read', () => {
  it('is the stored one', async (test) => {
    const { repository } = await createRepository(test);
    const wal = makeWal(2);
    const lineage = await LineageWriter.create(repository);
    await lineage.segment(wal, FIRST);
    const { bytes, whole, name, validUntil } = await segmentOf(repository, FIRST);
    assert.ok(bytes.equals(wal.bytes().subarray(0, Number(MIB))));
    assert.deepEqual(
      { whole, name, validUntil },
      { whole: true, name: '000000010000000100000000', validUntil: START + MIB },
    );
  });

  it('is put together from fragments, also overlapping ones, and padded with zeros behind the first gap', async (test) => {
    const { repository } = await createRepository(test);
    const wal = makeWal(1);
    const lineage = await LineageWriter.create(repository);
    await lineage.fragment(wal, START, START + 3000n);
    await lineage.fragment(wal, START + 2000n, START + 5000n);
    await lineage.fragment(wal, START + 5000n, START + 6001n);
    await lineage.fragment(wal, START + 7000n, START + 9000n);
    const { bytes, whole, validUntil } = await segmentOf(repository, FIRST);
    assert.deepEqual(
      { whole, validUntil, length: bytes.length },
      { whole: false, validUntil: START + 6001n, length: Number(MIB) },
    );
    assert.ok(bytes.subarray(0, 6001).equals(wal.bytes().subarray(0, 6001)));
    assert.ok(bytes.subarray(6001).every((byte) => byte === 0));
  });

  it('is absent when its first byte is not stored', async (test) => {
    const { repository } = await createRepository(test);
    const lineage = await LineageWriter.create(repository);
    await lineage.fragment(makeWal(1), START + 8192n, START + 9000n);
    await assert.rejects(segmentOf(repository, FIRST), { code: 'WAL_SEGMENT_ABSENT' });
    await assert.rejects(segmentOf(repository, FIRST + 5n), { code: 'WAL_SEGMENT_ABSENT' });
  });

  it('comes from its fragments when the stored segment is damaged', async (test) => {
    const made = await createRepository(test);
    const wal = makeWal(1);
    const lineage = await LineageWriter.create(made.repository);
    const name = await lineage.segment(wal, FIRST);
    await lineage.fragment(wal, START, START + MIB);
    await damage(test, name, made);
    assert.ok((await segmentOf(made.repository, FIRST)).bytes.equals(wal.bytes().subarray(0, Number(MIB))));
  });

  it('is refused by name when a part of it is damaged, never shortened', async (test) => {
    const made = await createRepository(test);
    const wal = makeWal(1);
    const lineage = await LineageWriter.create(made.repository);
    await lineage.fragment(wal, START, START + 3000n);
    const name = await lineage.fragment(wal, START + 3000n, START + 6000n);
    await damage(test, name, made);
    await assert.rejects(segmentOf(made.repository, FIRST), (error: HoldfastError) => {
      assert.equal(error.code, 'OBJECT_DAMAGED');
      assert.ok(error.message.includes(name));
      return true;
    });
  });

  it('is found again when its fragments were joined while it was read', async (test) => {
    const { repository, store } = await createRepository(test);
    const wal = makeWal(1);
    const lineage = await LineageWriter.create(repository);
    const first = await lineage.fragment(wal, START, START + 3000n);
    const second = await lineage.fragment(wal, START + 3000n, START + 6000n);
    const inventory = await readWalInventory(repository);
    await lineage.segment(wal, FIRST);
    await store.delete(first);
    await store.delete(second);
    const { whole } = await readSegment(repository, inventory, {
      lineage: 'a'.repeat(64),
      timeline: 1,
      segmentNumber: FIRST,
    });
    assert.equal(whole, true);
  });
});

describe('segments around a switch of timelines', () => {
  /** Timeline 1 with more than the server used of it, and timeline 2 from the middle of the second segment on. */
  async function promoted(test: TestContext, ofTwo: 'whole' | 'fragment' | 'nothing') {
    const made = await createRepository(test);
    const switchLsn = START + MIB + MIB / 2n;
    const one = makeWal(2);
    const two = new WalBuilder({ startLsn: START, timeline: 1 });
    fillTo(two, switchLsn);
    const at = two.lsn;
    two.timeline = 2;
    fillTo(two, START + 3n * MIB);
    const lineage = await LineageWriter.create(made.repository);
    await lineage.segment(one, FIRST, 1);
    await lineage.fragment(one, START + MIB, at + 4096n, 1);
    await lineage.history(2, [{ timeline: 1, switchLsn: at, reason: 'promoted' }]);
    if (ofTwo === 'whole') await lineage.segment(two, FIRST + 1n, 2);
    if (ofTwo === 'fragment') await lineage.fragment(two, START + MIB, at + 9000n, 2);
    return { ...made, at, two };
  }

  it('come under the new name, with the old bytes before the switch', async (test) => {
    const { repository, two } = await promoted(test, 'whole');
    const before = await segmentOf(repository, FIRST, 2);
    const { name, bytes, whole } = await segmentOf(repository, FIRST + 1n, 2);
    assert.equal(before.name, '000000010000000100000000');
    assert.deepEqual({ name, whole }, { name: '000000020000000100000001', whole: true });
    assert.ok(bytes.equals(two.bytes().subarray(Number(MIB), 2 * Number(MIB))));
  });

  it('are padded where the newest fragments end', async (test) => {
    const { repository, at } = await promoted(test, 'fragment');
    const { name, validUntil } = await segmentOf(repository, FIRST + 1n, 2);
    assert.deepEqual({ name, validUntil }, { name: '000000020000000100000001', validUntil: at + 9000n });
  });

  it('end at the switch, not at what the old server wrote beyond it, while nothing of the new timeline is stored', async (test) => {
    const { repository, at, two } = await promoted(test, 'nothing');
    const { name, validUntil, bytes } = await segmentOf(repository, FIRST + 1n, 2);
    assert.deepEqual({ name, validUntil }, { name: '000000020000000100000001', validUntil: at });
    const valid = Number(at - START - MIB);
    assert.ok(bytes.subarray(0, valid).equals(two.bytes().subarray(Number(MIB), Number(MIB) + valid)));
  });

  it('still show what the old server wrote to who recovers on its timeline', async (test) => {
    const { repository, at } = await promoted(test, 'whole');
    const { name, validUntil } = await segmentOf(repository, FIRST + 1n, 1);
    assert.deepEqual({ name, validUntil }, { name: '000000010000000100000001', validUntil: at + 4096n });
  });

  it('make one run of WAL, and one list of files', async (test) => {
    const { repository } = await promoted(test, 'whole');
    const inventory = await readWalInventory(repository);
    const lineage = 'a'.repeat(64);
    assert.equal(contiguousEnd(inventory, lineage, 2, START + 5n), START + 2n * MIB);
    assert.equal(contiguousEnd(inventory, lineage, 2, START + 9n * MIB), START + 9n * MIB);
    assert.deepEqual(describeContinuity(inventory.lineages[0]!).gaps, []);
    const files = listRecoveryFiles(inventory, { lineage, timeline: 2, from: START + 5n, to: START + MIB + 1n });
    assert.deepEqual(
      files.map(({ name }) => name),
      ['00000002.history', '000000010000000100000000', '000000020000000100000001'],
    );
  });
});
