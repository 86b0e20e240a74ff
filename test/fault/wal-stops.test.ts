import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { HoldfastError, systemClock } from '../../src/lib/index.ts';
import { contiguousEndIn, lineagePrefix, readWalInventory, type WalEvent } from '../../src/protect/wal/index.ts';
import {
  type Credential,
  initRepository,
  memoryStore,
  type ObjectStore,
  openRepository,
  type Repository,
} from '../../src/repository/index.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { keyFileIn } from '../support/memory-repository.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { stopStoreAt } from '../support/stopping-store.ts';
import {
  compareWithServer,
  flushLsnOf,
  onlyLineage,
  type RunningReceiver,
  startReceiver,
} from '../support/wal-receiver.ts';

const SLOT = 'holdfast_stops';
const SEGMENT_BYTES = 1024n * 1024n;

/** More changes than any of the runs below makes. */
const CHANGES_MAX = 60;

describe('a WAL receiver that stops', () => {
  let server: PostgresServer;
  let scratch: string;
  let credential: Credential;
  /** Where every run begins, as the slot stands there, and up to where there is WAL. */
  let start: bigint;
  let end: bigint;

  before(async () => {
    scratch = await makeScratchDirectory('wal-stops');
    credential = await keyFileIn(scratch);
    server = await startPostgres({
      major: 18,
      walSegmentSizeMb: 1,
      settings: { wal_keep_size: '256MB', autovacuum: 'off' },
    });
    await server.query('SELECT pg_switch_wal()');
    start = ((await flushLsnOf(server)) / SEGMENT_BYTES) * SEGMENT_BYTES;
    await server.query('CREATE TABLE item AS SELECT i, md5(i::text) FROM generate_series(1, 25000) i');
    end = await flushLsnOf(server);
    assert.ok(end - start > 2n * SEGMENT_BYTES, 'the runs are to fill segments');
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** A receiver that brings the same WAL each time, and ends. */
  const bring = (repository: Repository, onEvent?: (event: WalEvent) => void): RunningReceiver =>
    startReceiver({
      ...{ repository, source: server.backupSocketUrl, stateDirectory: scratch, startLsn: start, until: end },
      ...{ slot: SLOT, flushIntervalMs: 100, ...(onEvent === undefined ? {} : { onEvent }) },
    });

  /** What must hold of a repository in which a receiver stopped; then another one finishes. */
  const checkAndFinish = async (store: ObjectStore, events: readonly WalEvent[], when: string): Promise<void> => {
    const repository = await openRepository({ store, credential, access: 'write', clock: systemClock });
    const { lineages, damaged } = await readWalInventory(repository);
    assert.deepEqual(damaged, [], when);
    assert.ok(lineages.length <= 1, when);
    const reported = highestFlush(events);
    const durable = lineages[0] === undefined ? 0n : contiguousEndIn(lineages[0], 1, start);
    assert.ok(reported === 0n || durable >= reported, `${when}: ${durable} is durable, ${reported} was reported`);

    const second = bring(repository);
    const result = await second.ended;
    assert.ok(result.durableLsn >= end, when);
    const lineage = await onlyLineage(repository);
    const compared = await compareWithServer(repository, server, lineage);
    assert.deepEqual({ runs: compared.runs, atEnd: compared.end >= end }, { runs: 1, atEnd: true }, when);
    const { segments, fragments } = lineage.timelines.get(1)!;
    const leftovers = fragments.filter((fragment) => segments.has(fragment.start / SEGMENT_BYTES));
    assert.deepEqual(leftovers, [], `${when}: fragments of whole segments are left`);
    assert.deepEqual(
      second.events.filter((event) => event.kind === 'alarm'),
      [],
      when,
    );
  };

  for (const side of ['before', 'after'] as const) {
    it(`${side} any change of the store leaves all that it reported, and another one finishes`, async () => {
      let stops = 0;
      for (let change = 1; change <= CHANGES_MAX; change++) {
        const inner = memoryStore({ clock: systemClock });
        const fresh = await initRepository({ store: inner, credential, clock: systemClock });
        await fresh.close();
        const stopping = stopStoreAt(inner, change, side);
        const repository = await openRepository({
          store: stopping.store,
          credential,
          access: 'write',
          clock: systemClock,
        });
        const receiver = bring(repository);
        await receiver.ended.catch(() => {});
        if (!stopping.hasStopped) break;
        stops += 1;
        await checkAndFinish(inner, receiver.events, `${side} change ${change}, ${stopping.changes.at(-1)}`);
      }
      assert.ok(stops >= 5, `it stopped ${stops} times`);
    });
  }

  const moments: { name: string; isIt: (event: WalEvent) => boolean }[] = [
    ...(['connecting', 'preparing', 'comparing', 'streaming', 'draining'] as const).map((state) => ({
      name: `entering "${state}"`,
      isIt: (event: WalEvent) => event.kind === 'state' && event.state === state,
    })),
    ...(['lineage', 'stream', 'fragment-stored', 'segment-stored', 'flush-reported', 'progress'] as const).map(
      (kind) => ({
        name: `telling "${kind}"`,
        isIt: (event: WalEvent) => event.kind === kind,
      }),
    ),
  ];
  for (const { name, isIt } of moments) {
    it(`when ${name} leaves all that it reported, and another one finishes`, async () => {
      const store = memoryStore({ clock: systemClock });
      const repository = await initRepository({ store, credential, clock: systemClock });
      const receiver = bring(repository, (event) => {
        if (isIt(event)) throw new Error('stopped by the test');
      });
      await assert.rejects(receiver.ended, /stopped by the test/);
      await checkAndFinish(store, receiver.events, name);
    });
  }

  it('waits while the store is away, says so once, and goes on when it is back', async () => {
    const inner = memoryStore({ clock: systemClock });
    await initRepository({ store: inner, credential, clock: systemClock });
    const store = new FaultyStore(inner);
    const repository = await openRepository({ store, credential, access: 'write', clock: systemClock });
    const receiver = bring(repository, (event) => {
      if (event.kind !== 'lineage') return;
      const name = lineagePrefix(event.place);
      store.plan({ kind: 'fail', call: 'putIfAbsent', name }).plan({ kind: 'fail', call: 'putFileIfAbsent', name });
    });
    await receiver.seen('the alarm', (event) => event.kind === 'alarm' && event.alarm === 'store-away');
    await systemClock.sleep(700);
    assert.ok(highestFlush(receiver.events) <= start, 'nothing is reported that is not stored');
    store.heal();
    await receiver.seen('the end of it', (event) => event.kind === 'recovered' && event.alarm === 'store-away');
    const result = await receiver.ended;
    assert.ok(result.durableLsn >= end);
    assert.equal(receiver.events.filter((event) => event.kind === 'alarm').length, 1);
  });

  it('ends for good, and reports nothing more, when a write could not be synced', async () => {
    const inner = memoryStore({ clock: systemClock });
    await initRepository({ store: inner, credential, clock: systemClock });
    const store = new FaultyStore(inner);
    const repository = await openRepository({ store, credential, access: 'write', clock: systemClock });
    const error = () => new HoldfastError('STORE_SYNC_FAILED', 'cannot write: planned by the test');
    store.plan({ kind: 'fail', call: 'putIfAbsent', name: 'wal/', error, nth: 2 });
    store.plan({ kind: 'fail', call: 'putFileIfAbsent', name: 'wal/', error, nth: 1 });
    const receiver = bring(repository);
    await assert.rejects(receiver.ended, { code: 'STORE_SYNC_FAILED' });
    await checkAndFinish(inner, receiver.events, 'after a failed sync');
  });

  it('needs no right to delete: fragments that cannot go stay, and nothing else changes', async () => {
    const inner = memoryStore({ clock: systemClock });
    await initRepository({ store: inner, credential, clock: systemClock });
    const store = new FaultyStore(inner);
    const repository = await openRepository({ store, credential, access: 'write', clock: systemClock });
    const error = () => new HoldfastError('STORE_DENIED', 'could not delete: planned by the test');
    store.plan({ kind: 'fail', call: 'delete', error });
    const receiver = bring(repository);
    await receiver.ended;
    assert.deepEqual(
      receiver.events.filter((event) => event.kind === 'alarm'),
      [],
    );
    await checkAndFinish(inner, receiver.events, 'without the right to delete');
  });
});

function highestFlush(events: readonly WalEvent[]): bigint {
  return events.reduce(
    (highest, event) => (event.kind === 'flush-reported' && event.lsn > highest ? event.lsn : highest),
    0n,
  );
}
