import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FaultyStore } from '../../../../test/support/faulty-store.ts';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { createRepository } from '../../../../test/support/memory-repository.ts';
import { WalBuilder } from '../../../../test/support/wal-builder.ts';
import { fillTo, LineageWriter } from '../../../../test/support/wal-lineage.ts';
import { HoldfastError, systemClock } from '../../../lib/index.ts';
import { isFragment } from '../../../repository/index.ts';
import type { WalEvent } from '../events.ts';
import { readWalInventory } from '../inventory.ts';
import { readSegment } from '../read-segment.ts';
import { Persistence } from './persistence.ts';
import { Reception } from './reception.ts';
import { storedObjectsFrom } from './stored-objects.ts';

const MIB = 1024n * 1024n;
const START = 0x1_0000_0000n;
const FIRST = START / MIB;
const LINEAGE = 'a'.repeat(64);
const OWN = 'f'.repeat(16);

interface Setting {
  /** Stores what was there before. */
  before?: (lineage: LineageWriter, wal: WalBuilder) => Promise<unknown>;
  storedUntil?: bigint;
  urgent?: boolean;
  segments?: number;
  clock?: ManualClock;
}

/** A reception of sound WAL over a store in which faults can be planned. */
async function makeReception(test: TestContext, setting: Setting = {}) {
  const made = await createRepository(test);
  const wal = new WalBuilder({ startLsn: START });
  fillTo(wal, START + BigInt(setting.segments ?? 3) * MIB);
  const writer = await LineageWriter.create(made.repository);
  await setting.before?.(writer, wal);
  const store = new FaultyStore(made.store);
  const repository = await made.open({ store });
  const lineage = (await readWalInventory(repository)).lineages[0]!;
  const clock = setting.clock ?? systemClock;
  const events: WalEvent[] = [];
  const durable: bigint[] = [];
  const signal = new AbortController().signal;
  const reception = new Reception({
    ...{ repository, lineage, timeline: 1, start: START, storedUntil: setting.storedUntil ?? START, clock },
    ...{ receiver: OWN, spoolDirectory: made.scratch, flushIntervalMs: 1_000 },
    stored: storedObjectsFrom(lineage, [{ timeline: 1, from: 0n, to: null }], START),
    isUrgent: () => setting.urgent === true,
    persistence: new Persistence({ clock, signal, onAway: () => {}, onBack: () => {} }),
    emit: (event) => void events.push(event),
    onDurable: (lsn) => void durable.push(lsn),
  });
  const bytes = wal.bytes();
  /** Sends WAL up to an offset from the start, in pieces as a server would. */
  const send = async (to: bigint, source = bytes) => {
    for (let at = Number(reception.received - START); at < Number(to); at += 130_000) {
      await reception.take(START + BigInt(at), source.subarray(at, Math.min(at + 130_000, Number(to))));
    }
  };
  const inventory = async () => (await readWalInventory(repository)).lineages[0]!.timelines.get(1)!;
  const checkStored = async (end: bigint) => {
    const all = await readWalInventory(repository);
    for (let segmentNumber = FIRST; segmentNumber * MIB < START + end; segmentNumber++) {
      const found = await readSegment(repository, all, { lineage: LINEAGE, timeline: 1, segmentNumber });
      const from = Number(segmentNumber * MIB - START);
      const length = Number(found.validUntil - segmentNumber * MIB);
      assert.ok(found.bytes.subarray(0, length).equals(bytes.subarray(from, from + length)));
      assert.ok(found.whole || found.validUntil >= START + end);
    }
  };
  return {
    ...made,
    store,
    repository,
    lineage,
    writer,
    bytes,
    reception,
    send,
    events,
    durable,
    inventory,
    checkStored,
  };
}

/** As the same receiver did over an earlier connection. */
const storeOwn = (writer: LineageWriter, wal: WalBuilder) => writer.fragment(wal, START, START + 10_000n, 1, OWN);

const ofKind = <Kind extends WalEvent['kind']>(events: readonly WalEvent[], kind: Kind) =>
  events.filter((event): event is Extract<WalEvent, { kind: Kind }> => event.kind === kind);

describe('WAL that arrives', () => {
  it('is stored in fragments that are due, and in whole segments without fragments when nobody waits', async (test) => {
    const { reception, send, events, inventory, checkStored } = await makeReception(test);
    await send(2n * MIB + 5_000n);
    await reception.finish();
    assert.equal(reception.durable, START + 2n * MIB + 5_000n);
    const { segments, fragments } = await inventory();
    assert.deepEqual([...segments.keys()], [FIRST, FIRST + 1n]);
    assert.deepEqual(
      fragments.map(({ start, end }) => [start, end]),
      [[START + 2n * MIB, START + 2n * MIB + 5_000n]],
    );
    assert.equal(ofKind(events, 'fragment-stored').length, 1);
    await checkStored(2n * MIB + 5_000n);
  });

  it('waits for the interval, and not longer', async (test) => {
    const clock = new ManualClock();
    const { reception, send, durable } = await makeReception(test, { clock });
    await send(5_000n);
    await clock.advance(900);
    assert.equal(reception.durable, START);
    await clock.advance(100);
    while (reception.durable === START) await systemClock.sleep(5);
    assert.equal(durable.at(-1), START + 5_000n);
    await reception.finish();
  });

  it('is stored at once up to where somebody waits for it, and at the interval behind that', async (test) => {
    const clock = new ManualClock();
    const { reception, send, durable } = await makeReception(test, { clock });
    await send(5_000n);
    reception.hurry(START + 4_000n);
    while (reception.durable === START) await systemClock.sleep(1);
    assert.equal(reception.durable, START + 5_000n, 'what came besides goes with it');
    await send(9_000n);
    await clock.advance(900);
    assert.deepEqual(durable.slice(-1), [START + 5_000n]);
    await clock.advance(100);
    while (reception.durable < START + 9_000n) await systemClock.sleep(1);
    await reception.finish();
  });

  it('is stored at once when a commit may wait for it; what comes meanwhile goes together into the next fragment', async (test) => {
    const { reception, bytes, store, inventory } = await makeReception(test, {
      clock: new ManualClock(),
      urgent: true,
    });
    const release = Promise.withResolvers<void>();
    const put = store.putIfAbsent.bind(store);
    const asked: string[] = [];
    store.putIfAbsent = async (name, parts) => {
      asked.push(name);
      if (asked.length === 1) await release.promise;
      return put(name, parts);
    };
    const piece = (from: number, to: number) => reception.take(START + BigInt(from), bytes.subarray(from, to));
    await piece(0, 100);
    while (asked.length === 0) await systemClock.sleep(1);
    await piece(100, 200);
    await piece(200, 350);
    await piece(350, 400);
    assert.equal(asked.length, 1);
    release.resolve();
    while (reception.durable < START + 400n) await systemClock.sleep(1);
    const { fragments } = await inventory();
    assert.deepEqual(
      fragments.map(({ start, end }) => [start - START, end - START]),
      [
        [0n, 100n],
        [100n, 400n],
      ],
    );
    await reception.finish();
  });

  it('is under way in a few fragments at once to a store that is far away, and durable only up to the first that is not there', async (test) => {
    const clock = new ManualClock();
    const { reception, bytes, store, inventory } = await makeReception(test, { clock, urgent: true });
    const held: (() => void)[] = [];
    const put = store.putIfAbsent.bind(store);
    store.putIfAbsent = async (name, parts) => {
      await new Promise<void>((resolve) => held.push(resolve));
      return put(name, parts);
    };
    const piece = async (from: number, to: number) => {
      await reception.take(START + BigInt(from), bytes.subarray(from, to));
      await clock.advance(10);
      await systemClock.sleep(5);
    };
    for (let at = 0; at < 600; at += 100) await piece(at, at + 100);
    assert.equal(held.length, 4, 'what comes while four are under way waits');
    held[1]!();
    held[2]!();
    while ((await inventory().catch(() => null))?.fragments.length !== 2) await systemClock.sleep(1);
    assert.equal(reception.durable, START, 'the first is missing');
    held[0]!();
    while (reception.durable === START) await systemClock.sleep(1);
    assert.equal(reception.durable, START + 300n);
    await clock.advance(10);
    while (held.length < 5) await systemClock.sleep(1);
    for (const release of held.slice(3)) release();
    while (reception.durable < START + 600n) await systemClock.sleep(1);
    const { fragments } = await inventory();
    const ranges = fragments.map(({ start, end }) => [start - START, end - START]);
    const expected = [0n, 100n, 200n, 300n].map((from) => [from, from + 100n]);
    assert.deepEqual(ranges, [...expected, [400n, 600n]], 'what waited shares one fragment');
    await reception.finish();
  });

  it('stores a whole segment while the one before is still on its way', async (test) => {
    const { reception, send, store, checkStored, events } = await makeReception(test, { segments: 4 });
    const held = new Map<string, () => void>();
    const put = store.putFileIfAbsent.bind(store);
    store.putFileIfAbsent = async (name, path) => {
      if (held.size < 2) await new Promise<void>((resolve) => held.set(name, resolve));
      return put(name, path);
    };
    const sending = send(3n * MIB);
    while (held.size < 2) await systemClock.sleep(1);
    // Which of the two is sealed first is left to chance.
    const [first, second] = [...held.keys()].sort();
    held.get(second!)!();
    while (ofKind(events, 'segment-stored').length === 0) await systemClock.sleep(1);
    assert.equal(reception.durable, START, 'the first segment is missing');
    held.get(first!)!();
    await sending;
    await reception.finish();
    assert.equal(reception.durable, START + 3n * MIB);
    await checkStored(3n * MIB);
  });

  it('that is urgent is joined as well, and its fragments go', async (test) => {
    const { reception, send, inventory, checkStored } = await makeReception(test, { urgent: true });
    await send(2n * MIB);
    await reception.finish();
    const { segments, fragments } = await inventory();
    assert.deepEqual([[...segments.keys()], fragments], [[FIRST, FIRST + 1n], []]);
    await checkStored(2n * MIB);
  });

  it('is not stored, and nothing is called durable, before what is stored was compared', async (test) => {
    const storedUntil = START + 700_000n;
    const { reception, send, durable, store } = await makeReception(test, {
      ...{ urgent: true, storedUntil },
      before: (lineage, wal) => lineage.fragment(wal, START, storedUntil),
    });
    await send(600_000n);
    assert.equal(reception.isComparing, true);
    assert.deepEqual(durable, []);
    await send(MIB + 10n);
    await reception.compared;
    await reception.finish();
    assert.ok(durable[0]! >= storedUntil);
    const puts = store.calls.filter((call) => call.startsWith('putIfAbsent wal/') && call.includes('fragments'));
    assert.ok(puts.length > 0);
    assert.ok(
      puts.every((call) => BigInt(`0x${call.split('.')[1]}`) >= storedUntil),
      'what is stored is not stored again',
    );
  });

  it('that differs from what is stored ends the reception at the first byte, and none of it is stored', async (test) => {
    const { reception, bytes, inventory } = await makeReception(test, {
      storedUntil: START + 30_000n,
      before: (lineage, wal) => lineage.fragment(wal, START, START + 30_000n),
    });
    const other = Buffer.from(bytes.subarray(0, 200_000));
    other[20_000]! ^= 1;
    await reception.take(START, other.subarray(0, 10_000));
    await reception.take(START + 10_000n, other.subarray(10_000));
    assert.equal((await reception.diverged).lsn, START + 20_000n);
    assert.equal(reception.comparedBytes, 20_000n);
    await reception.take(START + 200_000n, bytes.subarray(200_000, 200_100));
    await reception.finish();
    assert.equal((await inventory()).fragments.length, 1);
  });

  it('takes the place of a stored object that turned out damaged', async (test) => {
    const { reception, send, events, store, lineage, durable, repository } = await makeReception(test, {
      storedUntil: START + 30_000n,
      before: async (writer, wal) => {
        await writer.fragment(wal, START, START + 10_000n);
        await writer.fragment(wal, START + 10_000n, START + 30_000n);
      },
    });
    const damaged = lineage.timelines.get(1)!.fragments[0]!.objectName;
    const sealed = await store.get(damaged);
    await store.delete(damaged);
    await store.putIfAbsent(damaged, sealed.subarray(0, sealed.length - 1));
    await send(50_000n);
    await reception.finish();
    assert.equal(durable.at(-1), START + 50_000n);
    const alarms = ofKind(events, 'alarm');
    assert.deepEqual(
      alarms.map((event) => event.alarm === 'damaged' && event.objectName),
      [damaged],
    );
    const all = await readWalInventory(repository);
    const found = await readSegment(repository, all, { lineage: LINEAGE, timeline: 1, segmentNumber: FIRST });
    assert.equal(found.validUntil, START + 50_000n);
  });

  it('takes another name where its own is that of a damaged object', async (test) => {
    const first = { storedUntil: START + 10_000n, before: storeOwn };
    const { reception, send, store, lineage, checkStored } = await makeReception(test, first);
    const damaged = lineage.timelines.get(1)!.fragments[0]!.objectName;
    const sealed = await store.get(damaged);
    sealed[sealed.length - 1]! ^= 1;
    await store.delete(damaged);
    await store.putIfAbsent(damaged, sealed);
    await send(10_000n);
    await reception.finish();
    assert.equal(reception.durable, START + 10_000n);
    await checkStored(10_000n);
  });

  it('that is no sound WAL stays in fragments, with an alarm, and the reception goes on', async (test) => {
    const { reception, bytes, send, events, inventory } = await makeReception(test);
    const unsound = Buffer.from(bytes);
    unsound[500_000]! ^= 1;
    await send(2n * MIB, unsound);
    await reception.finish();
    const { segments, ranges } = await inventory();
    assert.deepEqual([...segments.keys()], [FIRST + 1n]);
    assert.deepEqual(ranges, [{ start: START, end: START + 2n * MIB }]);
    const alarms = ofKind(events, 'alarm').map(({ alarm, error }) => [alarm, error.code]);
    assert.deepEqual(alarms, [['segment-not-joined', 'WAL_SEGMENT_UNSOUND']]);
  });

  it('stays in fragments when something else has come under the name of its segment meanwhile', async (test) => {
    const { reception, send, events, writer, inventory } = await makeReception(test);
    const other = new WalBuilder({ startLsn: START, systemId: 8n });
    fillTo(other, START + MIB);
    await writer.segment(other, FIRST);
    await send(MIB + 100n);
    await reception.finish();
    assert.equal(reception.durable, START + MIB + 100n);
    const alarms = ofKind(events, 'alarm').map(({ alarm, error }) => [alarm, error.code]);
    assert.deepEqual(alarms, [['segment-not-joined', 'WAL_SEGMENT_DIFFERS']]);
    const { fragments } = await inventory();
    assert.deepEqual([fragments[0]!.start, fragments.at(-1)!.end], [START, START + MIB + 100n]);
  });

  it('holds the server back while segments wait for the store', async (test) => {
    const { reception, send, store } = await makeReception(test, { segments: 9 });
    store.plan({ kind: 'fail', call: 'putFileIfAbsent' });
    const sending = send(8n * MIB);
    const outcome = await Promise.race([sending.then(() => 'sent'), systemClock.sleep(700).then(() => 'held')]);
    assert.equal(outcome, 'held');
    assert.ok(reception.received < START + 6n * MIB, `received ${reception.received - START}`);
    store.heal();
    await sending;
    await reception.finish();
    assert.equal(reception.durable, START + 8n * MIB);
  });

  it('is kept in memory while a fragment of it is on its way, also when its segment is stored before', async (test) => {
    const setting = { urgent: true, segments: 4 };
    const { reception, repository, send, store, bytes, inventory } = await makeReception(test, setting);
    const put = store.putIfAbsent.bind(store);
    let late: string | null = null;
    let isAway = true;
    store.putIfAbsent = async (name, parts) => {
      if (isFragment(name)) late ??= name;
      if (name === late && isAway) throw new HoldfastError('STORE_UNAVAILABLE', 'could not write', { retryable: true });
      return put(name, parts);
    };
    // The fragment stays, so that it can be looked at.
    store.plan({ kind: 'fail', call: 'delete', error: () => new HoldfastError('STORE_DENIED', 'cannot delete') });
    const sending = send(4n * MIB);
    await Promise.race([sending, systemClock.sleep(1_500)]);
    assert.ok(reception.received > START + MIB && late !== null);
    isAway = false;
    await sending;
    await reception.finish();
    const { start, end, objectName } = (await inventory()).fragments.find(({ objectName }) => objectName === late)!;
    const stored = await repository.getBody('wal-fragment', objectName);
    assert.ok(stored.equals(bytes.subarray(Number(start - START), Number(end - START))));
  });

  it('ends when it cannot be stored for good; what was stored stays', async (test) => {
    const { reception, send, store, checkStored } = await makeReception(test, { urgent: true });
    const error = () => new HoldfastError('STORE_DENIED', 'could not write: planned by the test');
    store.plan({ kind: 'fail', call: 'putFileIfAbsent', error });
    await send(MIB + 100n);
    await assert.rejects(reception.failed, { code: 'STORE_DENIED' });
    await reception.finish();
    assert.ok(reception.durable > START);
    await checkStored(reception.durable - START);
  });
});
