import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { flipBit } from '../../../test/support/bits.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { BodyThread } from './body-thread.ts';
import { getBodyStream } from './sealed-stream.ts';

const PLACE = { kind: 'wal-segment' as const, name: 'wal/a/b' };

async function makeThread(test: TestContext) {
  const thread = new BodyThread();
  test.after(() => thread.close());
  return { ...(await createRepository(test)), thread };
}

/** Half of it can be made smaller. */
function sharedBody(length: number): Buffer {
  const body = Buffer.from(new SharedArrayBuffer(length));
  randomBytes(length >> 1).copy(body);
  return body;
}

describe('a thread that seals bodies', () => {
  it('stores what everybody reads, of any length, and finds it equal', async (test) => {
    const { repository, thread } = await makeThread(test);
    for (const length of [0, 1, 1 << 20, (1 << 20) + 1, 11 << 20]) {
      const body = sharedBody(length);
      const place = { ...PLACE, name: `wal/a/${length}` };
      const put = await thread.put(repository, place, body);
      assert.deepEqual([put?.outcome, put?.size], ['created', (await repository.store.stat(place.name))?.size]);
      const pieces: Buffer[] = [];
      for await (const piece of getBodyStream(repository, place)) pieces.push(Buffer.from(piece));
      assert.ok(Buffer.concat(pieces).equals(body));
      assert.ok(await thread.isStored(repository, put!));
    }
    assert.deepEqual(await readdir(await repository.store.spoolDirectory()), []);
  });

  it('does not find equal what is changed, cut, longer, of another body or sealed another time', async (test) => {
    const { repository, store, thread } = await makeThread(test);
    const body = sharedBody(3 << 20);
    const put = (await thread.put(repository, PLACE, body))!;
    const stored = await store.get(PLACE.name);
    const twice = { ...PLACE, name: 'wal/a/c' };
    await thread.put(repository, twice, body);
    const others = [
      ...[0, 40, 70, 500_000, stored.length - 1].map((byte) => flipBit(stored, byte * 8)),
      ...[stored.subarray(0, -1), Buffer.concat([stored, Buffer.alloc(1)]), await store.get(twice.name)],
    ];
    for (const [index, bytes] of others.entries()) {
      await store.delete(PLACE.name);
      await store.putIfAbsent(PLACE.name, bytes);
      assert.ok(!(await thread.isStored(repository, { ...put, size: bytes.length })), `${index}`);
    }
    await store.delete(PLACE.name);
    await store.putIfAbsent(PLACE.name, stored);
    assert.ok(await thread.isStored(repository, put));
    body[body.length - 1]! ^= 1;
    assert.ok(!(await thread.isStored(repository, put)));
  });

  it('says that a name is taken', async (test) => {
    const { repository, thread } = await makeThread(test);
    await thread.put(repository, PLACE, sharedBody(100));
    assert.equal((await thread.put(repository, PLACE, sharedBody(100)))?.outcome, 'exists');
  });

  it('could not when it has ended, and leaves nothing behind', async (test) => {
    const { repository, thread } = await makeThread(test);
    const put = (await thread.put(repository, PLACE, sharedBody(2 << 20)))!;
    const [last] = await Promise.all([
      thread.put(repository, { ...PLACE, name: 'wal/a/c' }, sharedBody(100)),
      thread.close(),
    ]);
    assert.ok(last === null || last.outcome === 'created');
    assert.equal(await thread.put(repository, { ...PLACE, name: 'wal/a/d' }, sharedBody(100)), null);
    assert.equal(await thread.isStored(repository, put), false);
    assert.deepEqual(await readdir(await repository.store.spoolDirectory()), []);
  });

  it('hears of what the store answers', async (test) => {
    const { open, thread } = await makeThread(test);
    const reader = await open({ access: 'read' });
    await assert.rejects(thread.put(reader, PLACE, sharedBody(100)), { code: 'REPOSITORY_READ_ONLY' });
    const absent = {
      ...PLACE,
      body: sharedBody(100),
      repositoryId: randomBytes(16),
      epoch: 1,
      objectId: randomBytes(32),
    };
    const task = { ...absent, key: reader.keys.objectKey('wal-segment', absent.objectId, reader.keys.currentEpoch) };
    const put = { outcome: 'created' as const, size: 100, task };
    await assert.rejects(thread.isStored(reader, put), { code: 'OBJECT_ABSENT' });
  });
});
