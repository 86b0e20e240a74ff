import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { MARKER_NAME, type RecoveryTarget, type RestoreOptions } from '../../src/restore/index.ts';
import { describeTree } from '../support/directory-tree.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { type ProtectedServer, startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { type MountedFileSystem, mountReflinkFileSystem } from '../support/reflink-file-system.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const rows = 5;

describe('a restore that begins with clones', () => {
  let world: ProtectedServer;
  let cloning: MountedFileSystem | string;
  let fresh: Map<string, string>;
  let target: RecoveryTarget;
  /** The WAL in the spool goes on behind the target, as far as it was stored then. */
  const without = [MARKER_NAME, 'holdfast-recovery'];

  before(async () => {
    cloning = await mountReflinkFileSystem();
    if (typeof cloning === 'string') process.stderr.write(`CLONES ARE NOT TRIED: ${cloning}\n`);
    world = await startProtectedServer(18, { autovacuum: 'off' });
    await world.server.query(
      "CREATE TABLE big AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 60000) AS n",
    );
    await world.server.query('VACUUM (FREEZE) big');
    await world.server.query('CHECKPOINT');
    await world.backUp();
    await world.write(rows);
    await world.settle();
    const first = await world.restore({ target: { kind: 'latest' }, ...owner });
    target = { kind: 'lsn', lsn: first.proposal.target.recordLsn };
    await rm(first.proposal.into, { recursive: true });
    const second = await world.restore({ target, ...owner });
    fresh = await describeTree(second.proposal.into, without);
    await rm(second.proposal.into, { recursive: true });
  });
  after(async () => {
    await world?.dispose();
    if (typeof cloning === 'object') await cloning.dispose();
  });

  const restore = (into: string, options: Partial<RestoreOptions> = {}) =>
    world.restore({ into, target, ...owner, ...options });

  async function assertFresh(into: string): Promise<void> {
    const found = await describeTree(into, without);
    const paths = [...new Set([...found.keys(), ...fresh.keys()])];
    assert.deepEqual(
      paths.filter((path) => found.get(path) !== fresh.get(path)),
      [],
    );
  }

  const freeBytes = async (path: string) => {
    const { bfree, bsize } = await statfs(path);
    return bfree * bsize;
  };

  /** The file system that clones; null, with the test skipped, where none can be mounted. */
  function cloningOrSkip(test: TestContext): string | null {
    if (typeof cloning === 'object') return cloning.path;
    test.skip(cloning);
    return null;
  }

  it('shares what is the same with a directory that was used since, and leaves that one as it was', async (test) => {
    const place = cloningOrSkip(test);
    if (place === null) return;
    const source = join(place, 'source');
    await restore(source);
    {
      await using server = await startPostgres({ major: 18, dataDirectory: source });
      await untilOpen(server);
      await server.query("UPDATE big SET filler = 'changed' WHERE n % 5000 = 0");
      await server.stop();
    }
    const before = await describeTree(source);
    const free = await freeBytes(place);
    const into = join(place, 'clone');
    const { reuse, bytes, notes } = await restore(into, { cloneFrom: source });
    await assertFresh(into);
    assert.deepEqual(await describeTree(source), before);
    assert.equal(reuse!.copiedBytes, 0);
    assert.ok(reuse!.clonedBytes > bytes / 2 && reuse!.writtenBytes < bytes / 4, JSON.stringify(reuse));
    const taken = free - (await freeBytes(place));
    assert.ok(taken < bytes / 2 + 2 * 16 * 2 ** 20, `${taken} bytes were taken for ${bytes}`);
    assert.ok(!notes.some((note) => /copied/.test(note)));
    await rm(into, { recursive: true });
    await rm(source, { recursive: true });
  });

  it('is right also when a server writes to the source meanwhile', async (test) => {
    const place = cloningOrSkip(test);
    if (place === null) return;
    const source = join(place, 'running');
    await restore(source);
    await using server = await startPostgres({ major: 18, dataDirectory: source });
    await untilOpen(server);
    let isOver = false;
    const writing = (async () => {
      while (!isOver) {
        await server.query(
          "UPDATE big SET filler = repeat('y', 400) WHERE n % 7 = 0; CHECKPOINT; CREATE TABLE t (); DROP TABLE t",
        );
      }
    })();
    try {
      const into = join(place, 'beside');
      await restore(into, { cloneFrom: source });
      await assertFresh(into);
      await rm(into, { recursive: true });
    } finally {
      isOver = true;
      await writing;
    }
  });

  it('copies where the file system does not clone, and says so', async () => {
    const source = world.server.dataDirectory;
    const into = join(world.scratch, 'copied');
    const { reuse, bytes, notes } = await restore(into, { cloneFrom: source });
    await assertFresh(into);
    if (reuse!.clonedBytes > 0) return; // The disk of this machine clones.
    assert.ok(reuse!.copiedBytes > bytes / 2);
    assert.ok(
      notes.some((note) => /were copied and 0 B cloned/.test(note)),
      notes.join('\n'),
    );
  });

  it('refuses a source of another cluster, and one that is no data directory', async () => {
    await using other = await startPostgres({ major: 18 });
    const into = join(world.scratch, 'foreign');
    await assert.rejects(restore(into, { cloneFrom: other.dataDirectory }), { code: 'RESTORE_TARGET_FOREIGN' });
    const plain = join(world.scratch, 'plain');
    await mkdir(plain, { recursive: true });
    await assert.rejects(restore(into, { cloneFrom: plain }), { code: 'RESTORE_CLONE_SOURCE_UNUSABLE' });
    assert.ok(!readdirSync(world.scratch).includes('foreign'));
  });
});
