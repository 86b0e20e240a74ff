import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRepository } from '../../test/support/memory-repository.ts';
import { cuttablePlace, namesIn, severalPlaces } from '../../test/support/several-places.ts';
import { storeSmallLineage, storeSmallSnapshot } from '../../test/support/small-snapshot.ts';
import { systemClock } from '../lib/index.ts';
import { readStatus } from './read-status.ts';

it('the status asks the store for no record of a snapshot that its listing has told of', async (test) => {
  const place = cuttablePlace('primary');
  const { repository } = await createRepository(test, { store: place.store });
  const { lineage } = await storeSmallLineage(repository);
  await storeSmallSnapshot(repository, { one: Buffer.from('1') }, lineage);
  place.calls.length = 0;
  const { clusters } = await readStatus({ repository, clock: systemClock });
  assert.equal(clusters[0]!.newest?.level, null);
  assert.deepEqual(
    place.calls.filter((call) => call.startsWith('stat snapshots/')),
    [],
  );
});

it('a receiver that only helped a backup is none that was to run on', async (test) => {
  const { repository } = await createRepository(test);
  const { lineage } = await storeSmallLineage(repository);
  await storeSmallSnapshot(repository, { one: Buffer.from('1') }, lineage);
  const say = (name: string, temporary: boolean) =>
    repository.putVolatileJson('status', `volatile/status/${name.repeat(32)}`, {
      ...{ version: 1, role: 'wal-receiver', system: '7000000000000000001', cluster: 'shop', lineage, timeline: 1 },
      ...{ receiver: 'f'.repeat(16), running: false, temporary, known: null, synchronous: null },
      ...{ durableLsn: '0/300400', serverFlushLsn: '0/300400' },
    });
  const streamedAt = async () => (await readStatus({ repository, clock: systemClock })).clusters[0]!.wal!.streamedAt;
  await say('1', true);
  assert.equal(await streamedAt(), null);
  await say('2', false);
  assert.ok(Math.abs(systemClock.now() - (await streamedAt())!) < 60_000);
});

it('of a backup that went into a copy it is said what the primary lists only when that was asked', async (test) => {
  const [primary, west] = [cuttablePlace('primary'), cuttablePlace('west')];
  const { repository: inWest, open } = await createRepository(test, { store: west.inner });
  for (const root of await namesIn(west.inner)) await primary.inner.putIfAbsent(root, await west.inner.get(root));
  const { lineage } = await storeSmallLineage(inWest);
  await storeSmallSnapshot(inWest, { one: Buffer.from('1') }, lineage, { takenIn: 'west' });
  const { store } = severalPlaces(test, { primary, copies: [west], access: 'read' });
  const repository = await open({ store, access: 'read' });
  const read = async () => {
    const [shop] = (await readStatus({ repository, clock: systemClock })).clusters;
    const finding = shop!.findings.find(({ code }) => code === 'snapshot-away');
    return { onlyIn: shop!.newest!.onlyIn, sentence: finding!.sentence };
  };
  const asked = await read();
  assert.deepEqual(asked.onlyIn, { copies: ['west'], isPrimaryAsked: true });
  assert.match(asked.sentence, /copies alone have it: "west"/);
  primary.isCut = true;
  const silent = await read();
  assert.deepEqual(silent.onlyIn, { copies: ['west'], isPrimaryAsked: false });
  assert.match(silent.sentence, /not known.*copies have it: "west"/);
});
