import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { hurriedClock } from '../../../../test/support/odd-clocks.ts';
import { cuttablePlace } from '../../../../test/support/several-places.ts';
import { storeWith } from '../../../../test/support/store-with.ts';
import { until } from '../../../../test/support/until.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { filler, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { systemClock } from '../../../lib/index.ts';
import { formatSegmentName } from '../../../postgres/index.ts';
import { openRepository, SpooledStore } from '../../../repository/index.ts';
import type { ToldAlarm } from '../events.ts';
import { openPushSocket, pushWalFile } from './index.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;

/** Records of the same lengths, with other content from `twistAt` on. */
function makeWal(twistAt: bigint): WalBuilder {
  const wal = new WalBuilder({ startLsn: START, systemId: 7n, timeline: 1 });
  while (wal.lsn < START + 3n * MIB + 8192n) {
    const parts = filler(6000);
    wal.append(wal.lsn < twistAt ? parts : { ...parts, mainData: Buffer.alloc(6000, 0xcd) });
  }
  return wal;
}

it('a receiver that has only the WAL before a file leaves it to the client, who has the file before it to compare', async (test) => {
  const { repository, scratch, store } = await createRepository(test);
  const [ours, theirs] = [makeWal(START + 100n * MIB), makeWal(START + 500_000n)];
  const lineage = await LineageWriter.create(repository);
  await lineage.segment(ours, FIRST);
  const stateDirectory = join(scratch, 's');
  const { system, lineage: id } = lineage.place;
  const place = { system, lineage: id };
  const common = { stateDirectory, clock: systemClock, onAlarm: () => {} };
  const socket = await openPushSocket({ ...common, repository, cluster: 'main', place: () => place });
  assert.ok(socket !== null);
  test.after(() => socket.close());

  /** What `wal push` makes of the second segment of a server that has both in its directory. */
  const pushSecond = async (wal: WalBuilder, name: string) => {
    const directory = join(scratch, name);
    await mkdir(directory);
    const path = (index: bigint) => join(directory, formatSegmentName(1, FIRST + index, Number(MIB)));
    for (const index of [0n, 1n]) {
      await writeFile(path(index), wal.bytes().subarray(Number(index * MIB), Number((index + 1n) * MIB)));
    }
    const alarms: string[] = [];
    const result = await pushWalFile({
      ...common,
      ...{ path: path(1n), store, openRepository: async () => repository, cluster: 'main', clusterDefault: 'main' },
      signal: new AbortController().signal,
      onAlarm: ({ alarm }) => void alarms.push(alarm),
    });
    return { road: result.road, lineage: result.place?.lineage, alarms };
  };
  const copy = await pushSecond(theirs, 'copy');
  assert.deepEqual([copy.road, copy.alarms], ['repository', ['fork']]);
  assert.notEqual(copy.lineage, id);
  assert.deepEqual(await pushSecond(ours, 'own'), { road: 'repository', lineage: id, alarms: [] });
});

it('an alarm that a file gives rise to is told to whoever pushed it, and by the receiver', async (test) => {
  const { repository, scratch, store } = await createRepository(test);
  const [ours, theirs] = [makeWal(START + 100n * MIB), makeWal(START + 500_000n)];
  const lineage = await LineageWriter.create(repository);
  await lineage.segment(ours, FIRST);
  const stateDirectory = join(scratch, 's');
  const { system, lineage: id } = lineage.place;
  const common = { stateDirectory, clock: systemClock };
  const [byReceiver, byClient]: ToldAlarm[][] = [[], []];
  const socket = await openPushSocket({
    ...{ ...common, repository, cluster: 'main', place: () => ({ system, lineage: id }) },
    onAlarm: (alarm) => void byReceiver!.push(alarm),
  });
  assert.ok(socket !== null);
  test.after(() => socket.close());
  const path = join(scratch, formatSegmentName(1, FIRST, Number(MIB)));
  await writeFile(path, theirs.bytes().subarray(0, Number(MIB)));
  const { road, place } = await pushWalFile({
    ...{ ...common, path, store, openRepository: async () => repository, cluster: 'main', clusterDefault: 'main' },
    signal: new AbortController().signal,
    onAlarm: (alarm) => void byClient!.push(alarm),
  });
  assert.equal(road, 'receiver');
  assert.notEqual(place?.lineage, id);
  const words = (alarms: readonly ToldAlarm[]) =>
    alarms.map(({ alarm, error: { code, message, detail, hints } }) => ({ alarm, code, message, detail, hints }));
  assert.deepEqual(
    byReceiver!.map(({ alarm }) => alarm),
    ['fork'],
  );
  assert.deepEqual(words(byClient!), words(byReceiver!));
});

it('a file is not said to be kept that is on this machine alone where the plan wants it away, or that was judged before the primary came back', async (test) => {
  const primary = cuttablePlace('primary');
  const { repository: direct, credential, scratch } = await createRepository(test, { store: primary.inner });
  const wal = makeWal(START + 100n * MIB);
  const lineage = await LineageWriter.create(direct);
  const common = { stateDirectory: join(scratch, 's'), clock: hurriedClock, onAlarm: () => {}, cluster: 'main' };
  const { clock } = common;
  const spool = new SpooledStore({
    ...{ primary: primary.store, directory: join(scratch, 'outage'), clock, budgetBytes: 1 << 30 },
  });
  test.after(() => spool.close());
  let isSame = true;
  spool.judgeBy({ isSame: async () => isSame, findContradictions: async () => [] });
  /** What happens before a segment is put, and before it is read back. */
  let [onPut, onRead] = [async () => {}, async () => {}];
  const meanwhile = async (name: string, what: () => Promise<void>) => {
    if (name.includes('/segments/')) await what();
  };
  const store = storeWith(spool, {
    putIfAbsent: async (name, parts) => {
      await meanwhile(name, () => onPut());
      return spool.putIfAbsent(name, parts);
    },
    putFileIfAbsent: async (name, path) => {
      await meanwhile(name, () => onPut());
      return spool.putFileIfAbsent(name, path);
    },
    getRange: async (name, offset, length) => {
      await meanwhile(name, () => onRead());
      return spool.getRange(name, offset, length);
    },
  });
  const repository = await openRepository({ store, credential, access: 'write', clock });
  test.after(() => repository.close());
  const socket = await openPushSocket({
    ...{ ...common, repository, place: () => lineage.place, outage: { spool, protect: 'wal' } },
  });
  assert.ok(socket !== null);
  test.after(() => socket.close());
  const push = async (index: bigint) => {
    const path = join(scratch, formatSegmentName(1, FIRST + index, Number(MIB)));
    await writeFile(path, wal.bytes().subarray(Number(index * MIB), Number((index + 1n) * MIB)));
    const { road } = await pushWalFile({
      ...{ ...common, path, store: primary.inner, openRepository: async () => assert.fail('the receiver answers') },
      ...{ clusterDefault: 'main', signal: new AbortController().signal },
    });
    return road;
  };
  const goAway = async () => {
    primary.isCut = true;
  };
  const comeBack = async () => {
    primary.isCut = false;
    await until('the primary to have all', () => !spool.isAway && spool.onlyHere.length === 0);
  };

  onPut = goAway;
  await assert.rejects(push(0n), { code: 'WAL_PRIMARY_AWAY' });
  await comeBack();
  onPut = async () => {};
  assert.equal(await push(0n), 'receiver');

  onPut = goAway;
  onRead = comeBack;
  await assert.rejects(push(1n), { code: 'WAL_PRIMARY_BACK' });
  [onPut, onRead] = [async () => {}, async () => {}];
  assert.equal(await push(1n), 'receiver');

  // Somebody stores something else under the same name before that is handed over.
  onPut = goAway;
  await assert.rejects(push(2n), { code: 'WAL_PRIMARY_AWAY' });
  const [name = ''] = spool.onlyHere.filter((each) => each.includes('/segments/'));
  await primary.inner.putIfAbsent(name, Buffer.from('other WAL'));
  isSame = false;
  onPut = async () => {};
  primary.isCut = false;
  await until('the primary to contradict', () => spool.findContradicted([name]) !== null && !spool.isAway);
  await assert.rejects(push(2n), { code: 'WAL_SPOOL_DIFFERS', message: /the primary has other WAL under its name/ });
});
