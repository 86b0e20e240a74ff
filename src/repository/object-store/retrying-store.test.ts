import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { describeObjectStore } from '../../../test/contract/object-store.ts';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { namesIn } from '../../../test/support/listing.ts';
import { HastyClock } from '../../../test/support/odd-clocks.ts';
import { HoldfastError, systemClock } from '../../lib/index.ts';
import { newSpoolPath } from './basics/index.ts';
import { memoryStore } from './memory-store.ts';
import { type Retry, retrying } from './retrying-store.ts';

describeObjectStore('a retrying store', async () => retrying(memoryStore(), { clock: systemClock }));

describeObjectStore('a retrying store whose every first answer is lost', async () => {
  const faulty = new FaultyStore(memoryStore());
  for (const call of [
    'putIfAbsent',
    'putFileIfAbsent',
    'get',
    'getRange',
    'stat',
    'list',
    'delete',
    'putVolatile',
  ] as const) {
    for (let nth = 1; nth < 200; nth += 2) faulty.plan({ kind: 'lose-answer', call, nth });
  }
  // Callers that overlap may meet one fault after the other.
  return retrying(faulty, { clock: new HastyClock(Date.now()), attempts: 100 });
});

function setUp() {
  const memory = memoryStore();
  const faulty = new FaultyStore(memory);
  const clock = new HastyClock();
  return { memory, faulty, clock, store: retrying(faulty, { clock }) };
}

describe('a retrying store', () => {
  it('repeats what failed for a while, waiting longer each time', async () => {
    const { faulty, clock, store } = setUp();
    for (const nth of [1, 2, 3]) faulty.plan({ kind: 'fail', call: 'putIfAbsent', nth });
    assert.equal(await store.putIfAbsent('a', Buffer.from('x')), 'created');
    assert.equal(clock.slept.length, 3);
    const [first, second, third] = clock.slept as [number, number, number];
    assert.ok(
      first >= 100 && first <= 200 && second >= 200 && second <= 400 && third >= 400 && third <= 800,
      `${clock.slept}`,
    );
  });

  it('gives up in the end, and says what failed', async () => {
    const { faulty, clock, store } = setUp();
    faulty.plan({ kind: 'fail', call: 'get' });
    await assert.rejects(store.get('a'), { code: 'STORE_UNAVAILABLE' });
    assert.equal(faulty.calls.length, 8);
    assert.ok(Math.max(...clock.slept) <= 20_000);
  });

  it('says when a call fails first that it is tried again, how often and how long, and no more of that call', async () => {
    const faulty = new FaultyStore(memoryStore());
    const told: Retry[] = [];
    const store = retrying(faulty, { clock: new HastyClock(), onRetry: (retry) => told.push(retry) });
    for (const nth of [1, 2, 3]) faulty.plan({ kind: 'fail', call: 'stat', nth });
    await store.stat('a');
    await store.stat('a');
    faulty.plan({ kind: 'fail', call: 'list', nth: 1 });
    assert.deepEqual(await namesIn(store), []);
    assert.deepEqual(
      told.map(({ error, triesLeft, msMax }) => [error.code, triesLeft, msMax]),
      [1, 2].map(() => ['STORE_UNAVAILABLE', 7, 25_400]),
    );
  });

  it('does not repeat what will never succeed', async () => {
    const { faulty, clock, store } = setUp();
    faulty.plan({ kind: 'fail', call: 'putIfAbsent', error: () => new HoldfastError('STORE_DENIED', 'no') });
    await assert.rejects(store.putIfAbsent('a', Buffer.from('x')), { code: 'STORE_DENIED' });
    await assert.rejects(store.get('absent'), { code: 'OBJECT_ABSENT' });
    assert.deepEqual(clock.slept, []);
  });

  it('reports an object whose answer was lost as created, but not somebody else’s', async () => {
    const { faulty, memory, store } = setUp();
    faulty.plan({ kind: 'lose-answer', call: 'putIfAbsent', nth: 1 });
    assert.equal(await store.putIfAbsent('mine', Buffer.from('x')), 'created');
    await memory.putIfAbsent('theirs', Buffer.from('y'));
    faulty.plan({ kind: 'fail', call: 'putIfAbsent', name: 'theirs', nth: 1 });
    assert.equal(await store.putIfAbsent('theirs', Buffer.from('x')), 'exists');
  });

  it('repeats a file although the store takes it over, and leaves none behind', async () => {
    const { faulty, memory, store } = setUp();
    const spool = await store.spoolDirectory();
    const bytes = randomBytes(2_500_000);
    const attempt = async (name: string) => {
      const path = newSpoolPath(spool);
      await writeFile(path, bytes);
      const outcome = await store.putFileIfAbsent(name, path);
      assert.equal(existsSync(path), false);
      return outcome;
    };
    faulty.plan({ kind: 'fail', call: 'putFileIfAbsent', nth: 1 });
    faulty.plan({ kind: 'lose-answer', call: 'putFileIfAbsent', nth: 2 });
    assert.equal(await attempt('packs/a'), 'created');
    faulty.plan({ kind: 'fail', call: 'putFileIfAbsent', nth: 1 });
    await memory.putIfAbsent('packs/b', randomBytes(bytes.length));
    assert.equal(await attempt('packs/b'), 'exists');
    faulty.plan({ kind: 'fail', call: 'putFileIfAbsent' });
    await assert.rejects(attempt('packs/c'), { code: 'STORE_UNAVAILABLE' });
    assert.deepEqual(await memory.get('packs/a'), bytes);
    assert.deepEqual(await readdir(spool), []);
  });

  it('goes on with a listing where it broke', async () => {
    const { faulty, store } = setUp();
    for (const name of ['a', 'b', 'c', 'd']) await store.putIfAbsent(name, Buffer.from('x'));
    for (const nth of [1, 2, 3]) faulty.plan({ kind: 'fail', call: 'list', nth });
    const names: string[] = [];
    for await (const { name } of store.list('')) names.push(name);
    assert.deepEqual(names, ['a', 'b', 'c', 'd']);
  });
});
