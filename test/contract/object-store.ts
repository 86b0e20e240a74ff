import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { codeOf, systemClock } from '../../src/lib/index.ts';
import { newSpoolPath, type ObjectEntry, type ObjectStore, retrying } from '../../src/repository/object-store/index.ts';

/**
 * What every object store promises. `open` gives an empty one; what it needs is taken down by the test it is given. `runs` of random sets of names
 * are tried, fewer where each call is slow.
 */
export function describeObjectStore(
  name: string,
  open: (test: TestContext) => Promise<ObjectStore>,
  { runs = 20 }: { runs?: number } = {},
): void {
  // In a race a store may answer that it could not tell, and is asked again then, as everybody who uses one does.
  const openPatiently = async (test: TestContext) => retrying(await open(test), { clock: systemClock });

  describe(`${name} keeps the promises of an object store`, () => {
    it('gives back what was put, whole and in parts', async (test) => {
      const store = await open(test);
      const bytes = randomBytes(100_000);
      assert.equal(
        await store.putIfAbsent('packs/a', [bytes.subarray(0, 7), Buffer.alloc(0), bytes.subarray(7)]),
        'created',
      );
      assert.deepEqual(await store.get('packs/a'), bytes);
      assert.deepEqual(await store.getRange('packs/a', 0, bytes.length), bytes);
      assert.deepEqual(await store.getRange('packs/a', 99_000, 1000), bytes.subarray(99_000));
      assert.equal((await store.getRange('packs/a', 5, 0)).length, 0);
    });

    it('gives back an empty object', async (test) => {
      const store = await open(test);
      await store.putIfAbsent('features/a', Buffer.alloc(0));
      assert.equal((await store.get('features/a')).length, 0);
      assert.equal((await store.stat('features/a'))?.size, 0);
    });

    it('never changes an object that is there', async (test) => {
      const store = await open(test);
      await store.putIfAbsent('a/b', Buffer.from('first'));
      assert.equal(await store.putIfAbsent('a/b', Buffer.from('second')), 'exists');
      assert.equal(await store.putFileIfAbsent('a/b', await spoolFile(store, Buffer.from('third'))), 'exists');
      assert.equal((await store.get('a/b')).toString(), 'first');
    });

    it('lets one of many writers of a name win, and keeps the bytes of that one', async (test) => {
      const store = await openPatiently(test);
      const bodies = Array.from({ length: 8 }, (_, i) => randomBytes(1000 + i));
      const outcomes = await Promise.all(bodies.map((body) => store.putIfAbsent('wal/x/y', body)));
      assert.deepEqual(outcomes.filter((outcome) => outcome === 'created').length, 1);
      assert.deepEqual(await store.get('wal/x/y'), bodies[outcomes.indexOf('created')]);
    });

    it('lets one win of those who store files and those who store bytes, under each of several names', async (test) => {
      const store = await openPatiently(test);
      const rounds = Array.from({ length: 5 }, async (_, round) => {
        const name = `index/${round}`;
        const bodies = Array.from({ length: 6 }, (__, i) => randomBytes(500 + i));
        const outcomes = await Promise.all(
          bodies.map(async (body, i) =>
            i % 2 === 0
              ? store.putIfAbsent(name, [body.subarray(0, 9), body.subarray(9)])
              : store.putFileIfAbsent(name, await spoolFile(store, body)),
          ),
        );
        assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1);
        const winner = bodies[outcomes.indexOf('created')]!;
        assert.deepEqual(await store.get(name), winner);
        assert.equal(await store.putIfAbsent(name, randomBytes(10)), 'exists');
        assert.deepEqual(await store.get(name), winner);
      });
      await Promise.all(rounds);
    });

    it('takes a file over, whatever the outcome', async (test) => {
      const store = await open(test);
      const [first, second] = [randomBytes(300_000), randomBytes(300_000)];
      for (const [bytes, outcome] of [
        [first, 'created'],
        [second, 'exists'],
      ] as const) {
        const path = await spoolFile(store, bytes);
        assert.equal(await store.putFileIfAbsent('packs/file', path), outcome);
        assert.equal(existsSync(path), false);
      }
      assert.deepEqual(await store.get('packs/file'), first);
    });

    it('says of an absent object that it is absent', async (test) => {
      const store = await open(test);
      await store.putIfAbsent('a/b', Buffer.from('x'));
      for (const absent of ['a/c', 'a', 'a/b/c', 'none/at/all']) {
        await assert.rejects(store.get(absent), { code: 'OBJECT_ABSENT' });
        await assert.rejects(store.getRange(absent, 0, 1), { code: 'OBJECT_ABSENT' });
        assert.equal(await store.stat(absent), null);
      }
    });

    it('says of a range beyond the end that the object is too short', async (test) => {
      const store = await open(test);
      await store.putIfAbsent('a/b', Buffer.from('12345'));
      await assert.rejects(store.getRange('a/b', 3, 3), { code: 'OBJECT_TRUNCATED' });
      await assert.rejects(store.getRange('a/b', 9, 1), { code: 'OBJECT_TRUNCATED' });
      await assert.rejects(store.getRange('a/b', 5, 1), { code: 'OBJECT_TRUNCATED' });
      await assert.rejects(store.getRange('a/b', 0, 6), { code: 'OBJECT_TRUNCATED' });
      assert.equal((await store.getRange('a/b', 4, 1)).toString(), '5');
      assert.equal((await store.getRange('a/b', 0, 5)).toString(), '12345');
      await store.putIfAbsent('a/empty', Buffer.alloc(0));
      await assert.rejects(store.getRange('a/empty', 0, 1), { code: 'OBJECT_TRUNCATED' });
      assert.equal((await store.getRange('a/empty', 0, 0)).length, 0);
    });

    it('gives any part of a large object, many parts at once', async (test) => {
      const store = await open(test);
      const bytes = randomBytes(9 * 1024 * 1024 + 77);
      assert.equal(await store.putFileIfAbsent('packs/large', await spoolFile(store, bytes)), 'created');
      const size = 700_001;
      const offsets = Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => i * size);
      const parts = await Promise.all(offsets.map((offset) => store.getRange('packs/large', offset, size)));
      for (const [i, part] of parts.entries()) {
        assert.ok(part.equals(bytes.subarray(offsets[i]!, offsets[i]! + size)), `part ${i}`);
      }
      assert.ok((await store.get('packs/large')).equals(bytes));
    });

    it('deletes, and does not mind when there is nothing', async (test) => {
      const store = await open(test);
      await store.putIfAbsent('a/b', Buffer.from('x'));
      await store.delete('a/b');
      await store.delete('a/b');
      await store.delete('never/was');
      assert.equal(await store.stat('a/b'), null);
      assert.equal(await store.putIfAbsent('a/b', Buffer.from('y')), 'created');
    });

    it('overwrites volatile objects, and no others', async (test) => {
      const store = await open(test);
      await store.putVolatile('volatile/leases/a', Buffer.from('1'));
      await store.putVolatile('volatile/leases/a', Buffer.from('22'));
      assert.equal((await store.get('volatile/leases/a')).toString(), '22');
      await assert.rejects(async () => store.putVolatile('packs/a', Buffer.from('1')), { name: 'AssertionFailed' });
    });

    it('refuses names that are none', async (test) => {
      const store = await open(test);
      for (const name of ['', '/a', 'a/', 'a//b', '.', 'a/../b', './a', 'a b', 'ä', 'a\n', 'x'.repeat(901)]) {
        await assert.rejects(async () => store.putIfAbsent(name, Buffer.from('x')), { name: 'AssertionFailed' });
        // These may come from a listing.
        await assert.rejects(async () => store.get(name), { code: 'OBJECT_DAMAGED' });
        await assert.rejects(async () => store.getRange(name, 0, 1), { code: 'OBJECT_DAMAGED' });
        await assert.rejects(async () => store.stat(name), { code: 'OBJECT_DAMAGED' });
        await assert.rejects(async () => store.delete(name), { name: 'AssertionFailed' });
      }
      await store.putIfAbsent(`${'x'.repeat(250)}/${'y'.repeat(250)}/..z.`, Buffer.from('x'));
    });

    it('has a clock by which its objects are dated', async (test) => {
      const store = await open(test);
      const before = await store.now();
      await store.putIfAbsent('a/b', Buffer.from('x'));
      const after = await store.now();
      const { modifiedAt } = (await store.stat('a/b'))!;
      // A file system may round the time of a file down by some milliseconds.
      assert.ok(modifiedAt >= before - 20 && modifiedAt <= after, `${before} ≤ ${modifiedAt} ≤ ${after}`);
    });

    it('lists nothing in an empty place', async (test) => {
      const store = await open(test);
      assert.deepEqual(await namesOf(store.list('')), []);
      assert.deepEqual(await namesOf(store.list('packs/')), []);
    });

    it('lists sizes, and leaves the spool out', async (test) => {
      const store = await open(test);
      const path = await spoolFile(store, Buffer.from('no object'));
      await store.putIfAbsent('a/b', Buffer.from('12345'));
      const entries: ObjectEntry[] = [];
      for await (const entry of store.list('')) entries.push(entry);
      assert.deepEqual(
        entries.map(({ name, size }) => [name, size]),
        [['a/b', 5]],
      );
      assert.equal(existsSync(path), true);
      await store.putFileIfAbsent('a/c', path);
    });

    it('says of an object the same in a listing as when asked about it alone', async (test) => {
      const store = await open(test);
      const names = ['a/b', 'a/c', 'volatile/d'];
      await store.putIfAbsent('a/b', Buffer.from('1'));
      await store.putIfAbsent('a/c', Buffer.alloc(0));
      await store.putVolatile('volatile/d', Buffer.from('333'));
      const entries: ObjectEntry[] = [];
      for await (const entry of store.list('')) entries.push(entry);
      const asked = await Promise.all(names.map(async (name) => ({ name, ...(await store.stat(name))! })));
      assert.deepEqual(entries, asked);
    });

    it('lists any set of names in bytewise order, from any prefix and any name on', async (test) => {
      const part = fc
        .string({ unit: fc.constantFrom(...'ab.-_09Z'), minLength: 1, maxLength: 3 })
        .filter((text) => !/^\.\.?$/.test(text));
      const names = fc
        .array(
          fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
          { maxLength: 12 },
        )
        .map((all) => all.filter((name) => !all.some((other) => other !== name && other.startsWith(`${name}/`))));
      const property = fc.asyncProperty(names, part, part, async (chosen, prefix, startAfter) => {
        const store = await open(test);
        await Promise.all(chosen.map((name) => store.putIfAbsent(name, Buffer.from('x'))));
        const sorted = [...new Set(chosen)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        assert.deepEqual(await namesOf(store.list('')), sorted);
        assert.deepEqual(
          await namesOf(store.list(prefix)),
          sorted.filter((name) => name.startsWith(prefix)),
        );
        assert.deepEqual(
          await namesOf(store.list('', { startAfter })),
          sorted.filter((name) => name > startAfter),
        );
        for (const name of sorted) {
          assert.deepEqual(await namesOf(store.list('', { startAfter: name })), sorted.slice(sorted.indexOf(name) + 1));
        }
      });
      await fc.assert(property, { numRuns: runs });
    });

    it('lists a directory of many objects', async (test) => {
      const store = await open(test);
      const names = Array.from({ length: 150 }, (_, i) => `packs/${String(i).padStart(4, '0')}`);
      await Promise.all(names.map((name) => store.putIfAbsent(name, Buffer.from('x'))));
      assert.deepEqual(await namesOf(store.list('packs/')), names);
    });

    it('says of what it is, without an error code of a system', async (test) => {
      const store = await open(test);
      assert.ok(store.description.length > 0);
      const error = await store.get('none').catch((thrown: unknown) => thrown);
      assert.equal(codeOf(error), 'OBJECT_ABSENT');
    });
  });
}

async function namesOf(entries: AsyncIterable<ObjectEntry>): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of entries) names.push(name);
  return names;
}

async function spoolFile(store: ObjectStore, bytes: Uint8Array): Promise<string> {
  const path = newSpoolPath(await store.spoolDirectory());
  await writeFile(path, bytes);
  return path;
}
