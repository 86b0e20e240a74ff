import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { cuttablePlace, severalPlaces } from '../../../test/support/several-places.ts';
import { WalBuilder } from '../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter, testSystem } from '../../../test/support/wal-lineage.ts';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { fetchWalFile, type WalFetchOptions } from './fetch.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;

/** Two whole segments, a third that is there in part, and a history. */
async function stored(test: TestContext) {
  const made = await createRepository(test);
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, START + 3n * MIB);
  const lineage = await LineageWriter.create(made.repository);
  const segmentName = await lineage.segment(wal, FIRST);
  await lineage.segment(wal, FIRST + 1n);
  const fragmentName = await lineage.fragment(wal, START + 2n * MIB, START + 2n * MIB + 9000n);
  const faulty = new FaultyStore(made.store);
  const repository = await made.open({ store: faulty, access: 'read' });
  const fetch = async (name: string, options: Partial<WalFetchOptions> = {}) => {
    const destination = join(made.scratch, 'RECOVERYXLOG');
    const result = await fetchWalFile(repository, { system: testSystem, name, destination, ...options });
    const placed = existsSync(destination) ? readFileSync(destination) : null;
    const leftovers = readdirSync(made.scratch).filter((file) => file.startsWith('RECOVERYXLOG.'));
    assert.deepEqual(leftovers, [], 'nothing unfinished is left');
    return { ...result, placed };
  };
  return { ...made, wal, lineage, faulty, fetch, segmentName, fragmentName };
}

describe('wal fetch', () => {
  it('places a stored segment and says 0', async (test) => {
    const { fetch, wal } = await stored(test);
    const { exitCode, placed } = await fetch('000000010000000100000001');
    assert.equal(exitCode, 0);
    assert.ok(placed!.equals(wal.bytes().subarray(Number(MIB), 2 * Number(MIB))));
  });

  it('places the newest tail under its full name, padded with zeros', async (test) => {
    const { fetch, wal } = await stored(test);
    const { exitCode, placed, reason } = await fetch('000000010000000100000002');
    assert.equal(exitCode, 0);
    assert.match(reason, /valid up to 1\/202328/);
    assert.equal(placed!.length, Number(MIB));
    const from = 2 * Number(MIB);
    assert.ok(placed!.subarray(0, 9000).equals(wal.bytes().subarray(from, from + 9000)));
    assert.ok(placed!.subarray(9000).every((byte) => byte === 0));
  });

  it('says 1 of what the listing shows not to exist', async (test) => {
    const { fetch } = await stored(test);
    const names = [
      '000000010000000100000003',
      '000000020000000100000000',
      '00000002.history',
      '000000010000000100000000.partial',
      '000000010000000100000000.00000028.backup',
    ];
    for (const name of names) {
      const { exitCode, placed, error } = await fetch(name);
      assert.deepEqual({ exitCode, placed, error }, { exitCode: 1, placed: null, error: null }, name);
    }
  });

  it('places a history file', async (test) => {
    const { fetch, lineage } = await stored(test);
    await lineage.history(2, [{ timeline: 1, switchLsn: START + MIB, reason: 'no recovery target specified' }]);
    const { exitCode, placed } = await fetch('00000002.history');
    assert.equal(exitCode, 0);
    assert.equal(placed!.toString(), '1\t1/100000\tno recovery target specified\n');
  });

  it('says above 125 of every error of the store, at every call', async (test) => {
    const { fetch, faulty } = await stored(test);
    const failing = () =>
      new HoldfastError('STORE_UNAVAILABLE', 'could not reach the store: planned by the test', { retryable: false });
    for (const name of ['000000010000000100000000', '000000010000000100000003', '00000002.history']) {
      for (const call of ['list', 'get', 'getRange', 'stat'] as const) {
        for (const nth of [1, 2]) {
          faulty.heal();
          const before = faulty.calls.length;
          faulty.plan({ kind: 'fail', call, nth, error: failing });
          const { exitCode } = await fetch(name);
          const met = faulty.calls.slice(before).filter((made) => made.startsWith(`${call} `)).length >= nth;
          if (met) assert.ok(exitCode > 125, `${name}: ${call} ${nth} gave ${exitCode}`);
        }
      }
    }
  });

  it('says above 125 where the primary is away and the copy that answers may be behind', async (test) => {
    const { store, open, lineage, wal, scratch } = await stored(test);
    const primary = cuttablePlace('primary', { inner: store });
    const copy = cuttablePlace('elsewhere');
    const places = severalPlaces(test, { primary, copies: [copy], access: 'write' });
    places.store.beginCatchUp();
    await places.store.settled();
    fillTo(wal, START + 4n * MIB);
    await lineage.segment(wal, FIRST + 2n);
    await lineage.segment(wal, FIRST + 3n);
    await lineage.history(2, [{ timeline: 1, switchLsn: START + 4n * MIB, reason: '' }]);
    const repository = await open({ store: places.open('read'), access: 'read' });
    const ask = (name: string) =>
      fetchWalFile(repository, { system: testSystem, name, destination: join(scratch, 'asked') });
    const [there, behind, history] = ['000000010000000100000001', '000000010000000100000003', '00000002.history'];
    assert.equal((await ask('000000030000000100000005')).exitCode, 1);
    primary.isCut = true;
    assert.equal((await ask(there!)).exitCode, 0);
    for (const name of [behind!, history!]) {
      const { exitCode, error } = await ask(name);
      assert.deepEqual([exitCode, error?.code], [126, 'WAL_FETCH_FAILED'], name);
    }
    primary.isCut = false;
    copy.isCut = true;
    await systemClock.sleep(5_500);
    assert.equal((await ask(behind!)).exitCode, 0);
    assert.equal((await ask('000000030000000100000005')).exitCode, 1);
  });

  it('says above 125 of damage, by name', async (test) => {
    const { fetch, store, segmentName, fragmentName, lineage } = await stored(test);
    const history = await lineage.history(2, [{ timeline: 1, switchLsn: START + 2n * MIB + 100n, reason: '' }]);
    for (const [objectName, name] of [
      [segmentName, '000000010000000100000000'],
      [fragmentName, '000000010000000100000002'],
      [history, '00000002.history'],
    ] as const) {
      const bytes = await store.get(objectName);
      bytes[bytes.length - 1]! ^= 1;
      await store.delete(objectName);
      await store.putIfAbsent(objectName, bytes);
      const { exitCode, error, placed } = await fetch(name, { timeline: 1 });
      assert.deepEqual(
        { exitCode, code: error!.code, placed },
        { exitCode: 126, code: 'OBJECT_DAMAGED', placed: null },
        name,
      );
      assert.ok(error!.message.includes(objectName));
    }
  });

  it('says above 125 of a hole in the WAL, before it and in it', async (test) => {
    const { fetch, lineage, wal } = await stored(test);
    fillTo(wal, START + 6n * MIB);
    await lineage.segment(wal, FIRST + 5n);
    for (const name of ['000000010000000100000002', '000000010000000100000003', '0000000100000000000000FF']) {
      const { exitCode, error } = await fetch(name);
      assert.deepEqual([exitCode, error!.code], [126, 'WAL_GAP'], name);
    }
    assert.equal((await fetch('000000010000000100000006')).exitCode, 1);
  });

  it('says above 125 of a system that it has never seen, and when it cannot tell which lineage is meant', async (test) => {
    const { fetch, repository } = await stored(test);
    const other = await fetch('000000010000000100000003', { system: '8' });
    assert.deepEqual([other.exitCode, other.error!.code], [126, 'WAL_SYSTEM_ABSENT']);
    await LineageWriter.create(repository, { id: 'b' });
    const ambiguous = await fetch('000000010000000100000003');
    assert.deepEqual([ambiguous.exitCode, ambiguous.error!.code], [126, 'WAL_LINEAGE_AMBIGUOUS']);
    assert.equal((await fetch('000000010000000100000001', { lineage: 'a'.repeat(64) })).exitCode, 0);
  });

  it('does not take the one lineage that it can read for the only one', async (test) => {
    const { fetch, repository, store } = await stored(test);
    const second = await LineageWriter.create(repository, { id: 'b' });
    const objectName = `wal/${testSystem}/${second.place.lineage}/lineage`;
    const bytes = await store.get(objectName);
    await store.delete(objectName);
    await store.putIfAbsent(objectName, bytes.subarray(0, bytes.length - 1));
    const { exitCode, error } = await fetch('000000010000000100000003');
    assert.deepEqual([exitCode, error!.code], [126, 'OBJECT_DAMAGED']);
  });

  it('says above 125 when the file cannot be placed, and of a name that means nothing', async (test) => {
    const { fetch, scratch } = await stored(test);
    const nowhere = await fetch('000000010000000100000001', { destination: join(scratch, 'absent', 'RECOVERYXLOG') });
    assert.equal(nowhere.exitCode, 126);
    assert.equal((await fetch('nonsense')).exitCode, 126);
  });

  it('gives the tail of an older timeline to nobody but who recovers on it', async (test) => {
    const { fetch, lineage } = await stored(test);
    await lineage.history(2, [{ timeline: 1, switchLsn: START + 2n * MIB + 5000n, reason: '' }]);
    assert.equal((await fetch('000000010000000100000002')).exitCode, 1);
    assert.equal((await fetch('000000010000000100000002', { timeline: 1 })).exitCode, 0);
    const { exitCode, reason } = await fetch('000000020000000100000002');
    assert.equal(exitCode, 0);
    assert.match(reason, /valid up to 1\/201388/);
  });
});
