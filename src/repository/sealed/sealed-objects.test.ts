import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { z } from 'zod';
import { flipBit } from '../../../test/support/bits.ts';
import { FaultyStore } from '../../../test/support/faulty-store.ts';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { codeOf } from '../../lib/index.ts';
import { kindPrefix, type ObjectKind } from '../codec/index.ts';
import { memoryStore } from '../object-store/index.ts';
import { readRecord } from './record.ts';
import { getBodyStream, putBodyStream } from './sealed-stream.ts';

const kinds: ObjectKind[] = [
  ...(['index', 'snapshot-pending', 'snapshot-committed', 'wal-lineage', 'wal-segment', 'wal-fragment'] as const),
  ...([
    'timeline-history',
    'attestation',
    'damage',
    'tombstone',
    'hold',
    'run',
    'ledger',
    'erasure',
    'lease',
    'status',
  ] as const),
];

describe('sealed objects', () => {
  for (const kind of kinds) {
    it(`of kind ${kind} come back as they were, and with any bit turned over they are named and refused`, async (test) => {
      const { repository, store } = await createRepository(test);
      const name = `${kindPrefix(kind)}a/b`;
      const body = Buffer.from(`a body of kind ${kind}`);
      assert.equal(await repository.putBody(kind, name, body), 'created');
      assert.equal(await repository.putBody(kind, name, Buffer.from('another')), 'exists');
      assert.deepEqual(await repository.getBody(kind, name), body);
      const sealed = await store.get(name);
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        await store.delete(name);
        await store.putIfAbsent(name, flipBit(sealed, bit));
        await assert.rejects(repository.getBody(kind, name), (error: Error) => {
          const code = codeOf(error) ?? '';
          return ['OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT'].includes(code);
        });
      }
    });
  }

  it('are refused when they were renamed, or brought from another repository', async (test) => {
    const [one, other] = [await createRepository(test), await createRepository(test)];
    await one.repository.putJson('damage', 'damage/a', { x: 1 });
    const sealed = await one.store.get('damage/a');
    await one.store.putIfAbsent('damage/b', sealed);
    await assert.rejects(one.repository.getJson('damage', 'damage/b'), {
      code: 'OBJECT_DAMAGED',
      message: /"damage\/b"/,
    });
    await other.store.putIfAbsent('damage/a', sealed);
    await assert.rejects(other.repository.getJson('damage', 'damage/a'), {
      code: 'OBJECT_DAMAGED',
      detail: `Expected an object of repository ${other.repository.id}, found one of repository ${one.repository.id}.`,
    });
  });

  it('are absent when they are absent', async (test) => {
    const { repository } = await createRepository(test);
    await assert.rejects(repository.getBody('ledger', 'ledger/a'), { code: 'OBJECT_ABSENT' });
    await assert.rejects(repository.getBody('index', 'ledger/a'), { name: 'AssertionFailed' });
  });

  it('are not written by somebody who opened the repository to read', async (test) => {
    const { open, repository } = await createRepository(test);
    await repository.putJson('damage', 'damage/a', { x: [1, null, 'text'] });
    const reader = await open({ access: 'read' });
    assert.deepEqual(await reader.getJson('damage', 'damage/a'), { x: [1, null, 'text'] });
    const refused = { code: 'REPOSITORY_READ_ONLY' };
    await assert.rejects(reader.putJson('damage', 'damage/b', {}), refused);
    await assert.rejects(reader.putDrawn('index', 'index/', Buffer.alloc(0)), refused);
    await assert.rejects(reader.putVolatileJson('lease', 'volatile/leases/a', {}), refused);
    await assert.rejects(
      putBodyStream(reader, { kind: 'wal-segment', name: 'wal/a' }, piecesOf(Buffer.alloc(1), 1)),
      refused,
    );
  });

  it('under a drawn name have that name as their object id, and survive a lost answer', async (test) => {
    const { repository, store } = await createRepository(test);
    const name = await repository.putDrawn('index', 'index/', Buffer.from('x'));
    assert.equal((await store.get(name)).subarray(16, 48).toString('hex'), name.slice('index/'.length));
    assert.equal((await repository.getBody('index', name)).toString(), 'x');
  });

  it('under volatile/ are replaced, each time under another key', async (test) => {
    const { repository, store } = await createRepository(test);
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++) {
      await repository.putVolatileJson('status', 'volatile/status/a', { i: 1 });
      seen.add((await store.get('volatile/status/a')).subarray(16, 48).toString('hex'));
      assert.deepEqual(await repository.getJson('status', 'volatile/status/a'), { i: 1 });
    }
    assert.equal(seen.size, 3);
  });

  it('that are authentic and not JSON are said to be so', async (test) => {
    const { repository } = await createRepository(test);
    await repository.putBody('damage', 'damage/a', Buffer.from('{'));
    await assert.rejects(repository.getJson('damage', 'damage/a'), { code: 'OBJECT_DAMAGED', detail: /not JSON/ });
    const schema = z.object({ version: z.literal(1) });
    assert.throws(() => readRecord(schema, 'damage/a', { version: 2 }), {
      code: 'RECORD_UNRECOGNIZED',
      message: /damage\/a/,
    });
  });
});

async function* piecesOf(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

describe('bodies that are too large for memory', () => {
  const place = { kind: 'wal-segment', name: 'wal/1/x/segments/1' } as const;

  async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
    const all: Buffer[] = [];
    for await (const piece of pieces) all.push(piece);
    return Buffer.concat(all);
  }

  async function setUp(test: TestContext) {
    const store = memoryStore();
    const faulty = new FaultyStore(store);
    return { store, faulty, repository: (await createRepository(test, { store: faulty })).repository };
  }

  it('are stored and read in pieces, however they come, and are the same as others', async (test) => {
    for (const [size, step] of [
      [0, 1],
      [1, 1],
      [1 << 20, 1000],
      [5_000_000, 1_700_000],
      [(4 << 20) + 1, 65_536],
    ] as const) {
      const { repository, store } = await setUp(test);
      const body = Buffer.concat([randomBytes(size >> 1), Buffer.alloc(size - (size >> 1), 'ab')]);
      const put = await putBodyStream(repository, place, piecesOf(body, step));
      assert.equal(put.outcome, 'created');
      assert.equal((await repository.store.stat(place.name))?.size, put.size);
      assert.deepEqual(await collect(getBodyStream(repository, place)), body);
      assert.deepEqual(await repository.getBody(place.kind, place.name), body);
      assert.deepEqual(await readdir(await store.spoolDirectory()), []);
    }
  });

  it('throw before their end when they were cut, and hand out no byte that is not proved', async (test) => {
    const { repository, store } = await setUp(test);
    const body = randomBytes(3 << 20);
    await putBodyStream(repository, place, piecesOf(body, 1 << 16));
    const sealed = await store.get(place.name);
    for (const damaged of [
      sealed.subarray(0, sealed.length - (1 << 20) - 24),
      sealed.subarray(0, 64),
      flipBit(sealed, 8 * 2_500_000),
    ]) {
      await store.delete(place.name);
      await store.putIfAbsent(place.name, damaged);
      let bytes = Buffer.alloc(0);
      await assert.rejects(
        async () => {
          for await (const piece of getBodyStream(repository, place)) bytes = Buffer.concat([bytes, piece]);
        },
        { code: 'OBJECT_DAMAGED' },
      );
      assert.ok(body.subarray(0, bytes.length).equals(bytes));
    }
    await assert.rejects(collect(getBodyStream(repository, { ...place, name: 'wal/none' })), { code: 'OBJECT_ABSENT' });
  });

  it('leave nothing behind when their source fails', async (test) => {
    const { repository, store } = await setUp(test);
    const source = async function* () {
      yield randomBytes(2_000_000);
      throw new Error('the source broke');
    };
    await assert.rejects(putBodyStream(repository, place, source()), { message: 'the source broke' });
    assert.equal(await store.stat(place.name), null);
    assert.deepEqual(await readdir(await store.spoolDirectory()), []);
  });
});
