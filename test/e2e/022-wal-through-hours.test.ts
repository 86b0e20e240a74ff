import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import type { WalEvent } from '../../src/protect/wal/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { compareWithServer, flushLsnOf, onlyLineage, startReceiver } from '../support/wal-receiver.ts';

const MINUTE = 60_000;

describe('a receiver through many hours', () => {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('wal-hours');
    // The server's own clock is real: it lets go of a link that was lost after two seconds of that.
    const settings = { wal_keep_size: '256MB', autovacuum: 'off', wal_sender_timeout: '2s' };
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
    await server.query('CREATE TABLE item (i int)');
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  /** Lets hours pass in which the network has as little time as it needs. */
  async function pass(clock: ManualClock, hours: number, stepMs: number): Promise<void> {
    for (let ms = 0; ms < hours * 60 * MINUTE; ms += stepMs) {
      await clock.advance(stepMs);
      await systemClock.sleep(2);
    }
  }

  /** Waits while the clock goes on, as what is waited for sleeps on it. */
  async function until(clock: ManualClock, what: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    what.then(over, over);
    while (!isOver) await pass(clock, 1 / 3600, 500);
    await what;
  }

  it('in which the server is idle keeps its link, and knows all the time that nothing is missing', async () => {
    const place = await makeRepository(scratch, 'idle');
    const clock = new ManualClock();
    let told = 0;
    const onEvent = (event: WalEvent) => {
      if (event.kind === 'progress') told += 1;
    };
    await using receiver = startReceiver({ ...place, source: server.backupUrl, clock, slot: 'holdfast_idle', onEvent });
    await until(clock, receiver.durable(await flushLsnOf(server)));
    const stepMs = 3_000;
    for (let passed = 0; passed < 60 * MINUTE; passed += stepMs) {
      const heard = told;
      await clock.advance(stepMs);
      // The server is asked every second, and answers in real time. A link is given up after a minute without a word: ten steps and more.
      while (told === heard) await systemClock.sleep(1);
      // Not every word of the receiver's is about an answer, and the server needs real time for one.
      await systemClock.sleep(10);
    }
    assert.deepEqual(
      receiver.events.filter((event) => event.kind === 'reconnect' || event.kind === 'alarm'),
      [],
    );
    assert.ok(new Set(marksIn(receiver.events)).size > 100);
    await server.query('INSERT INTO item VALUES (1)');
    await until(clock, receiver.durable(await flushLsnOf(server)));
    await until(clock, receiver.stop());
  });

  it('of a network that swallows everything tries for ever, and brings all of it when that is over', async () => {
    await using proxy = await startTcpProxy(server.port);
    const place = await makeRepository(scratch, 'swallowed');
    const clock = new ManualClock();
    const url = new URL(server.backupUrl);
    url.port = String(proxy.port);
    await using receiver = startReceiver({ ...place, source: url.href, clock, slot: 'holdfast_swallowed' });
    await until(clock, receiver.durable(await flushLsnOf(server)));

    proxy.swallow();
    for (let round = 0; round < 3; round++) {
      await server.query('INSERT INTO item SELECT i FROM generate_series(1, 20000) i');
      await server.query('SELECT pg_switch_wal()');
    }
    await pass(clock, 3, 10_000);
    const lost = receiver.events.filter((event) => event.kind === 'reconnect');
    assert.match(
      lost[0]!.error.message,
      /could not hear .* any more on the WAL stream/,
      'a link that is only half open',
    );
    assert.ok(lost.length > 100, `it tried ${lost.length} times in three hours`);
    assert.ok(lost.every(({ delayMs }) => delayMs <= 15_000));
    const durable = receiver.events.filter((event) => event.kind === 'flush-reported').at(-1)!.lsn;
    assert.ok(durable < (await flushLsnOf(server)));

    proxy.mend();
    await until(clock, receiver.durable(await flushLsnOf(server)));
    await until(clock, receiver.stop());
    const alarms = receiver.events.filter((event) => event.kind === 'alarm' && event.alarm !== 'slot');
    assert.deepEqual(alarms, [], 'but for the slot, which the lost link held for a while');
    const compared = await compareWithServer(place.repository, server, await onlyLineage(place.repository));
    assert.equal(compared.runs, 1);
  });

  it('goes on through restarts of the server and a clock that is set back', async () => {
    const place = await makeRepository(scratch, 'restarts');
    let backMs = 0;
    const setBack = { ...systemClock, now: () => systemClock.now() - backMs };
    await using receiver = startReceiver({
      ...place,
      source: server.backupUrl,
      clock: setBack,
      slot: 'holdfast_restarts',
    });
    for (let round = 0; round < 3; round++) {
      await server.query('INSERT INTO item SELECT i FROM generate_series(1, 20000) i');
      await receiver.durable(await flushLsnOf(server));
      backMs += 24 * 60 * MINUTE;
      if (round === 0) await server.restart();
      else {
        await server.kill9();
        await server.restart();
      }
    }
    await server.query('INSERT INTO item VALUES (1)');
    await receiver.durable(await flushLsnOf(server));
    await receiver.stop();
    assert.deepEqual(
      receiver.events.filter((event) => event.kind === 'alarm'),
      [],
    );
    const compared = await compareWithServer(place.repository, server, await onlyLineage(place.repository));
    assert.equal(compared.runs, 1);
  });
});

function marksIn(events: readonly WalEvent[]): bigint[] {
  return events.flatMap((event) => (event.kind === 'progress' ? (event.progress.knownUntil ?? []) : []));
}
