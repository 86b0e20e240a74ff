import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { describeObjectStore } from '../../../test/contract/object-store.ts';
import { scratchFor } from '../../../test/support/memory-repository.ts';
import { newSpoolPath } from './basics/index.ts';
import { openDiskStore } from './disk-store.ts';
import { type FileSystem, type OpenFile, systemFileSystem } from './file-system.ts';
import { openStore } from './open-store.ts';

describeObjectStore('the disk store', async (test) => (await setUp(test)).store);

describeObjectStore('a disk store named by its path', async (test) => {
  const store = openStore(join(await scratchFor(test, 'store'), 'objects'));
  await store.createPlace!();
  return store;
});

async function setUp(test: TestContext, fileSystem: Partial<FileSystem> = {}) {
  const root = join(await scratchFor(test, 'store'), 'objects');
  const store = openDiskStore(root, { fileSystem: { ...systemFileSystem, ...fileSystem } });
  await store.createPlace!();
  return { root, store };
}

function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: planned by the test`), { code });
}

/** A file whose calls fail as told. */
function failing(file: OpenFile, failures: { write?: string; sync?: string }): OpenFile {
  return {
    write: async (parts) => {
      if (failures.write !== undefined) throw systemError(failures.write);
      await file.write(parts);
    },
    sync: async () => {
      if (failures.sync !== undefined) throw systemError(failures.sync);
      await file.sync();
    },
    close: () => file.close(),
  };
}

describe('the disk store', () => {
  it('makes its place and what is missing above it', async (test) => {
    const scratch = await scratchFor(test, 'store');
    const store = openDiskStore(join(scratch, 'a', 'b', 'c'));
    await assert.rejects(store.putIfAbsent('x', Buffer.from('x')), { code: 'STORE_ABSENT' });
    await store.createPlace!();
    await store.createPlace!();
    assert.equal(await store.putIfAbsent('x', Buffer.from('x')), 'created');
  });

  it('never mistakes an absent place for absent objects', async (test) => {
    const store = openDiskStore(join(await scratchFor(test, 'store'), 'absent'));
    await assert.rejects(store.get('format'), { code: 'STORE_ABSENT' });
    await assert.rejects(store.stat('format'), { code: 'STORE_ABSENT' });
    await assert.rejects(store.list('')[Symbol.asyncIterator]().next(), { code: 'STORE_ABSENT' });
    await assert.rejects(store.delete('format'), { code: 'STORE_ABSENT' });
    await assert.rejects(store.putVolatile('volatile/a', Buffer.from('x')), { code: 'STORE_ABSENT' });
  });

  it('says that a file lies where its directory should', async (test) => {
    const path = join(await scratchFor(test, 'store'), 'file');
    await writeFile(path, '');
    await assert.rejects(openDiskStore(path).get('format'), { code: 'STORE_ABSENT', detail: /found a file/ });
  });

  it('writes nothing into another directory that took the place of its own, as below a lost mount', async (test) => {
    const { root, store } = await setUp(test);
    await store.putIfAbsent('a', Buffer.from('x'));
    await rename(root, `${root}-unmounted`);
    await mkdir(root);
    await assert.rejects(store.putIfAbsent('b', Buffer.from('x')), { code: 'STORE_ABSENT' });
    await assert.rejects(store.get('a'), { code: 'STORE_ABSENT' });
    assert.deepEqual(await readdir(root), []);
    await rename(`${root}-unmounted`, root);
    assert.equal(await store.putIfAbsent('b', Buffer.from('x')), 'created');
  });

  it('goes on when its directory is mounted again under another number', async (test) => {
    let device = 1;
    const { root, store } = await setUp(test, {
      status: async (path) => ({ ...(await systemFileSystem.status(path)), identity: String(device) }),
    });
    await store.putIfAbsent('a/b', Buffer.from('x'));
    device = 2;
    assert.equal(await store.putIfAbsent('a/c', Buffer.from('x')), 'created');
    assert.deepEqual((await readdir(join(root, 'a'))).sort(), ['b', 'c']);
  });

  for (const [code, expected] of [
    ['ENOSPC', 'STORE_FULL'],
    ['EDQUOT', 'STORE_FULL'],
    ['EROFS', 'STORE_DENIED'],
    ['EIO', 'STORE_FAILED'],
    ['ESTALE', 'STORE_UNAVAILABLE'],
  ] as const) {
    it(`says ${expected} when a write ends in ${code}, leaves nothing, and goes on`, async (test) => {
      let failure: string | undefined = code;
      const { root, store } = await setUp(test, {
        createFile: async (path) =>
          failing(await systemFileSystem.createFile(path), failure === undefined ? {} : { write: failure }),
      });
      await assert.rejects(store.putIfAbsent('a/b', Buffer.from('x')), { code: expected });
      assert.deepEqual(await readdir(join(root, '.spool')), []);
      assert.equal(await store.stat('a/b'), null);
      failure = undefined;
      assert.equal(await store.putIfAbsent('a/b', Buffer.from('x')), 'created');
    });
  }

  it('says STORE_DENIED where it may not read', async (test) => {
    const { store } = await setUp(test, {
      read: async () => {
        throw systemError('EACCES');
      },
    });
    await store.putIfAbsent('a', Buffer.from('x'));
    await assert.rejects(store.get('a'), { code: 'STORE_DENIED' });
  });

  it('writes no more once a file could not be synced, as nobody knows what is on the disk', async (test) => {
    let failure: string | undefined = 'EIO';
    const { store } = await setUp(test, {
      createFile: async (path) =>
        failing(await systemFileSystem.createFile(path), failure === undefined ? {} : { sync: failure }),
    });
    await assert.rejects(store.putIfAbsent('a/b', Buffer.from('x')), { code: 'STORE_SYNC_FAILED', retryable: false });
    failure = undefined;
    const path = newSpoolPath(await scratchFor(test, 'spool'));
    await writeFile(path, 'x');
    await assert.rejects(store.putIfAbsent('a/c', Buffer.from('x')), { code: 'STORE_SYNC_FAILED' });
    await assert.rejects(store.putFileIfAbsent('a/c', path), { code: 'STORE_SYNC_FAILED' });
    await assert.rejects(store.putVolatile('volatile/c', Buffer.from('x')), { code: 'STORE_SYNC_FAILED' });
    await assert.rejects(store.delete('a/c'), { code: 'STORE_SYNC_FAILED' });
    await assert.rejects(stat(path), { code: 'ENOENT' });
    assert.equal(await store.stat('a/b'), null);
  });

  it('writes no more once a directory could not be synced', async (test) => {
    let fails = false;
    const { store } = await setUp(test, {
      syncDirectory: async (path) => {
        if (fails) throw systemError('EIO');
        await systemFileSystem.syncDirectory(path);
      },
    });
    await store.putIfAbsent('a/b', Buffer.from('x'));
    fails = true;
    await assert.rejects(store.putIfAbsent('a/c', Buffer.from('x')), { code: 'STORE_SYNC_FAILED' });
    fails = false;
    await assert.rejects(store.putIfAbsent('a/d', Buffer.from('x')), { code: 'STORE_SYNC_FAILED' });
    assert.equal((await store.get('a/b')).toString(), 'x');
  });

  it('refuses a file system without hard links instead of giving up its promises', async (test) => {
    const { store } = await setUp(test, {
      link: async () => {
        throw systemError('ENOTSUP');
      },
    });
    await assert.rejects(store.putIfAbsent('a', Buffer.from('x')), { code: 'STORE_FAILED' });
    assert.equal(await store.stat('a'), null);
  });

  it('removes what dead processes left in the spool, and nothing of living or recent ones', async (test) => {
    const { root } = await setUp(test);
    const spool = join(root, '.spool');
    await mkdir(spool);
    const own = newSpoolPath(spool);
    const [host, boot, pid, start, random] = own.slice(spool.length + 1).split('.') as [
      string,
      string,
      string,
      string,
      string,
    ];
    const name = (parts: string[]) => join(spool, parts.join('.'));
    const dead = [
      name([host, boot, pid, String(Number(start) + 1), random]),
      name([host, '00000000', pid, start, random]),
    ];
    const alive = [own, name(['00000000', boot, pid, start, random]), join(spool, 'something-else')];
    const old = name(['11111111', boot, pid, start, random]);
    for (const path of [...dead, ...alive, old]) await writeFile(path, 'x');
    const longAgo = Date.now() / 1000 - 8 * 24 * 3600;
    await utimes(old, longAgo, longAgo);

    await openDiskStore(root).putIfAbsent('a', Buffer.from('x'));
    assert.deepEqual((await readdir(spool)).sort(), alive.map((path) => path.slice(spool.length + 1)).sort());
  });

  it('lists what others put there, so that a foreign directory is seen', async (test) => {
    const { root, store } = await setUp(test);
    await writeFile(join(root, 'Letter to Anna.txt'), 'x');
    await mkdir(join(root, 'lost+found'));
    await symlink('/nowhere/at/all', join(root, 'dangling'));
    const names: string[] = [];
    for await (const { name } of store.list('')) names.push(name);
    assert.deepEqual(names, ['Letter to Anna.txt', 'dangling']);
  });

  it('follows a symbolic link to a directory, as somebody may move packs/ to another disk', async (test) => {
    const { root, store } = await setUp(test);
    const elsewhere = await scratchFor(test, 'store');
    await symlink(elsewhere, join(root, 'holds'));
    await writeFile(join(elsewhere, 'a'), 'x');
    const names: string[] = [];
    for await (const { name } of store.list('holds/')) names.push(name);
    assert.deepEqual(names, ['holds/a']);
  });

  it('gives every descriptor back', async (test) => {
    const { store } = await setUp(test);
    const open = async () => (await readdir('/proc/self/fd')).length;
    await store.putIfAbsent('warm/up', Buffer.from('x'));
    const before = await open();
    for (let i = 0; i < 50; i++) {
      await store.putIfAbsent(`a${i}/b`, randomBytes(10));
      await store.getRange(`a${i}/b`, 0, 5);
      await store.putIfAbsent(`a${i}/b`, randomBytes(10));
    }
    assert.equal(await open(), before);
  });

  it('can be read, but not written, by somebody who may only read', async (test) => {
    const { root, store } = await setUp(test);
    await store.putIfAbsent('a', Buffer.from('x'));
    const denied = async () => {
      throw systemError('EROFS');
    };
    const fileSystem = { ...systemFileSystem, makeDirectory: denied, createFile: denied, link: denied };
    const reader = openDiskStore(root, { fileSystem });
    assert.equal((await reader.get('a')).toString(), 'x');
    await assert.rejects(reader.putIfAbsent('b/c', Buffer.from('x')), { code: 'STORE_DENIED' });
  });

  it('does not repeat a credential when it refuses an address', () => {
    assert.throws(
      () => openStore('s3://key:secret@bucket/prefix'),
      (error: Error) => {
        assert.equal((error as { code?: string }).code, 'STORE_LOCATION_INVALID');
        return !JSON.stringify({ ...error, message: error.message }).includes('secret');
      },
    );
    assert.throws(() => openStore(''), { code: 'STORE_LOCATION_INVALID' });
  });
});
