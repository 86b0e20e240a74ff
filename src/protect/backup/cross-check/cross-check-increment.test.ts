import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FaultyStore } from '../../../../test/support/faulty-store.ts';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { type MadeRecord, WalBuilder } from '../../../../test/support/wal-builder.ts';
import { LineageWriter, testSystem } from '../../../../test/support/wal-lineage.ts';
import { systemClock } from '../../../lib/index.ts';
import { formatLsn, ResourceManager } from '../../../postgres/index.ts';
import { memoryStore, type SnapshotRecord } from '../../../repository/index.ts';
import { readWalInventory } from '../../wal/index.ts';
import type { SentFile } from '../increment/index.ts';
import { crossCheckIncrement } from './cross-check-increment.ts';

const FILE_CREATED = 0x10;

/** What a record says that a file was made: its relation and fork. */
function fileCreated(relation: number): Buffer {
  return Buffer.from(Uint32Array.of(1663, 5, relation, 0).buffer);
}

const SENT: SentFile = {
  file: { tablespace: 1663, database: 5, relation: 16_384, fork: 'main', segment: 0 },
  path: 'data/base/5/16384',
  blockCount: 4,
  changes: { blocks: Uint32Array.of(0), truncationLength: 4 },
};

/** Holds an increment of one file against stored WAL of records about made files; each is given by its data. */
async function check(test: TestContext, records: readonly Buffer[], store?: FaultyStore) {
  const made = await createRepository(test, store === undefined ? {} : { store });
  const wal = new WalBuilder();
  const written: MadeRecord[] = records.map((mainData) =>
    wal.append({ resourceManager: ResourceManager.storage, info: FILE_CREATED, mainData }),
  );
  const writer = await LineageWriter.create(made.repository);
  const [start, end] = [written[0]!.lsn, written.at(-1)!.endLsn];
  await writer.fragment(wal, wal.startLsn, end);
  const { lineage } = writer.place;
  const base = { wal: { system: testSystem, lineage, timeline: 1, start: formatLsn(start) } } as SnapshotRecord;
  const inventory = await readWalInventory(made.repository);
  const { repository } = made;
  const begin = () =>
    crossCheckIncrement({ repository, inventory, base, startLsn: end, endLsn: end, sent: [SENT], baseBlocks: () => 4 });
  return { begin, written };
}

describe('an increment held against the stored WAL', () => {
  it('lacks what the WAL says, with the record that says it', async (test) => {
    const { begin, written } = await check(test, [fileCreated(16_384), fileCreated(9)]);
    const found = await begin();
    assert.ok(found.kind === 'differs');
    assert.deepEqual(
      found.findings.first.map(({ kind, lsn }) => [kind, lsn]),
      [['not-whole', written[0]!.lsn]],
    );
  });

  it('is not judged by WAL in which a record has a form that nobody knows', async (test) => {
    const { begin } = await check(test, [fileCreated(16_384), Buffer.alloc(3)]);
    assert.deepEqual(await begin(), {
      kind: 'not-known',
      reason: 'WAL that was stored cannot be read: invalid WAL record',
    });
  });

  it('keeps what was found when the WAL cannot be read again to tell where', async (test) => {
    const store = new FaultyStore(memoryStore({ clock: systemClock }));
    const { begin } = await check(test, [fileCreated(16_384)], store);
    const isRead = /^(get|getRange) .*\/fragments\//;
    const before = store.calls.length;
    assert.ok((await begin()).kind === 'differs');
    const reads = store.calls.slice(before).filter((call) => isRead.test(call));
    assert.ok(reads.length >= 2 && reads.length % 2 === 0, `${reads}: once to compare, once to locate`);
    const [call] = reads[0]!.split(' ') as ['get' | 'getRange'];
    store.plan({ kind: 'fail', call, name: reads[0]!.split(' ')[1]!, nth: reads.length / 2 + 1 });
    const found = await begin();
    assert.ok(found.kind === 'differs');
    assert.deepEqual([found.findings.count, found.findings.first[0]!.lsn], [1, null]);
  });
});
