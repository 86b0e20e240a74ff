import assert from 'node:assert/strict';
import { it } from 'node:test';
import { lastRecord, readSegment, readWalInventory } from '../../src/protect/wal/index.ts';
import { fragmentObjectName } from '../../src/protect/wal/object-names.ts';
import { historyOf, type ProtectedServer, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { onlyLineage } from '../support/wal-receiver.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

/**
 * Leaves the repository as a receiver does that was killed when the record of a switch had come and the zeros behind it had not: the last segment
 * is a fragment that ends with the record. Gives the end of the segment.
 */
async function cutBehindSwitch({ repository, steps }: ProtectedServer): Promise<bigint> {
  const lineage = await onlyLineage(repository);
  const size = BigInt(lineage.header.segmentBytes);
  const segmentNumber = steps.at(-1)!.lsnAfter / size;
  const end = (segmentNumber + 1n) * size;
  const inventory = await readWalInventory(repository);
  const history = { lineage: lineage.lineage, timeline: 1, from: segmentNumber * size };
  const { bytes } = await readSegment(repository, inventory, { ...history, segmentNumber });
  const { segments, fragments } = lineage.timelines.get(1)!;
  const later = [...segments.values()].filter(({ number }) => number >= segmentNumber);
  const cut = [...later, ...fragments.filter((fragment) => fragment.end > segmentNumber * size)];
  for (const { objectName } of cut) await repository.store.delete(objectName);
  let used = bytes.length;
  while (used > 0 && bytes[used - 1] === 0) used -= 8;
  used += 8 - (used % 8);
  const fragment = { timeline: 1, start: segmentNumber * size, end: segmentNumber * size + BigInt(used) };
  const name = fragmentObjectName(lineage, { ...fragment, receiver: '0'.repeat(16) });
  await repository.putBody('wal-fragment', name, bytes.subarray(0, used));
  const last = await lastRecord(repository, await readWalInventory(repository), history);
  assert.equal(last?.endLsn, end, 'the last record is the switch');
  return end;
}

it('a restore to the latest comes to the end of a segment of which only the switch was stored', async () => {
  const world = await startProtectedServer(18, { autovacuum: 'off' });
  try {
    await world.write(3);
    await world.backUp();
    await world.write(3);
    await world.server.query('SELECT pg_switch_wal()');
    await world.settle();
    await world.receiver.stop();
    const end = await cutBehindSwitch(world);
    const { binDirectory } = world.server;
    const result = await world.restore({ target: { kind: 'latest' }, start: { binDirectory }, ...owner });
    try {
      assert.equal(await historyOf(result.instance!.instance), rowsUpTo(6));
      assert.equal(result.reached?.lsn, end);
    } finally {
      await result.instance!.stop();
    }
  } finally {
    await world.dispose();
  }
});
