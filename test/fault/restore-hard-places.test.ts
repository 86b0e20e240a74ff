import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type HoldfastError, silentProgress } from '../../src/lib/index.ts';
import type { RestoreOptions, RestoreProposal } from '../../src/restore/index.ts';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import { mountMemoryFileSystem } from '../support/reflink-file-system.ts';
import { reopenRepository } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const latest = { kind: 'latest' } as const;
const rows = 'SELECT (SELECT count(*) FROM spread), (SELECT count(*) FROM second)';

describe('a restore into hard places', () => {
  let world: ProtectedServer;
  let oid: number;
  const snapshots: string[] = [];

  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off' });
    const space = join(world.scratch, 'space');
    await mkdir(space);
    if (runsAsRoot) await chown(space, nobody.uid, nobody.gid);
    await world.server.query(`CREATE TABLESPACE space LOCATION '${space}'`);
    await world.server.query(
      "CREATE TABLE spread TABLESPACE space AS SELECT n, repeat('x', 500) FROM generate_series(1, 12000) AS n",
    );
    await world.server.query('CHECKPOINT');
    snapshots.push((await world.backUp()).snapshot.id);
    await world.server.query('CREATE TABLE second AS SELECT n, md5(n::text) FROM generate_series(1, 30000) AS n');
    await world.server.query('CHECKPOINT');
    snapshots.push((await world.backUp()).snapshot.id);
    await world.settle();
    const [row] = await world.server.query<{ oid: number }>("SELECT oid FROM pg_tablespace WHERE spcname = 'space'");
    oid = row!.oid;
  });
  after(() => world?.dispose());

  async function restoreAndRead(options: Partial<RestoreOptions>): Promise<RestoreProposal> {
    const { binDirectory } = world.server;
    const result = await world.restore({ target: latest, start: { binDirectory }, ...owner, ...options });
    try {
      const connection = await result.instance!.instance.connect();
      assert.deepEqual((await connection.query(rows))[0]?.rows, [['12000', '30000']]);
      await connection.close();
    } finally {
      await result.instance!.stop();
    }
    return result.proposal;
  }

  it('is refused when the file system of a tablespace is too small, and begun again when it fills up meanwhile', async (test) => {
    const [small, enough] = [await mountMemoryFileSystem(4), await mountMemoryFileSystem(24)];
    try {
      if (typeof small === 'string' || typeof enough === 'string')
        return test.skip(String(typeof small === 'string' ? small : enough));
      const into = join(world.scratch, 'filled');
      const place = (path: string) => ({ mappings: [{ which: String(oid), path: join(path, 'space') }] });
      await assert.rejects(world.restore({ target: latest, into, tablespaces: place(small.path), ...owner }), {
        code: 'RESTORE_SPACE_SHORT',
        message: new RegExp(`cannot restore into "${small.path}/space"`),
      });
      assert.equal(existsSync(into), false);
      const filler = join(enough.path, 'filler');
      const tablespaces = place(enough.path);
      // Another program takes the space between the look at it and its use.
      const onProposal = () => writeFile(filler, Buffer.alloc(20 * 2 ** 20));
      await assert.rejects(world.restore({ target: latest, into, tablespaces, onProposal, ...owner }), {
        code: 'RESTORE_TARGET_WRITE_FAILED',
        message: `could not write into "${enough.path}/space": no space left`,
      });
      assert.equal(existsSync(join(into, 'global', 'pg_control')), false);
      await rm(filler);
      await restoreAndRead({ into, tablespaces });
      await rm(into, { recursive: true });
    } finally {
      for (const mounted of [small, enough]) if (typeof mounted === 'object') await mounted.dispose();
    }
  });

  it('that is broken off is begun again, also with its tablespaces elsewhere, and leaves nothing at the first place', async () => {
    const into = join(world.scratch, 'broken');
    const place = (name: string) => ({ mappings: [{ which: String(oid), path: join(world.scratch, name) }] });
    const broken = new Error('broken off');
    const progress = {
      ...silentProgress,
      begin: (stage: string) => {
        if (stage === 'bringing WAL') throw broken;
      },
    };
    await assert.rejects(
      world.restore({ target: latest, into, tablespaces: place('first'), progress, ...owner }),
      broken,
    );
    assert.equal((await readdir(join(world.scratch, 'first'))).length, 2);
    // A stranger's restore does not take the place over.
    await assert.rejects(
      world.restore({ target: latest, into: `${into}-other`, tablespaces: place('first'), ...owner }),
      { code: 'RESTORE_TABLESPACE_PLACE_UNUSABLE' },
    );
    await restoreAndRead({ into, tablespaces: place('second') });
    assert.deepEqual(await readdir(join(world.scratch, 'first')), []);
    assert.deepEqual((await readdir(join(world.scratch, 'second'))).length, 1, 'the mark is gone');
  });

  it('reads a repository that it may not write to', async () => {
    const repository = await reopenRepository(world.place.path, 'read');
    try {
      await restoreAndRead({ repository, into: join(world.scratch, 'read-only') });
    } finally {
      await repository.close();
    }
  });

  it('names the file of a damaged chunk, and the older snapshot that leads to the same position without it', async () => {
    const pack = await findPackOf(snapshots[1]!);
    const path = join(world.place.path, 'packs', pack);
    const sound = await readFile(path);
    const mode = statSync(path).mode;
    chmodSync(path, 0o600);
    await writeFile(path, Buffer.alloc(sound.length, 1));
    try {
      const into = join(world.scratch, 'damaged');
      await assert.rejects(world.restore({ target: latest, into, ...owner }), (error: HoldfastError) => {
        assert.equal(error.code, 'CHUNK_DAMAGED');
        assert.match(error.message, /damaged chunk\(s\) of ".*\/base\/[0-9]+\/[0-9]+/);
        assert.ok(error.hints[0]?.includes(`--snapshot ${snapshots[0]!.slice(0, 12)}`), error.hints.join('\n'));
        return true;
      });
      await restoreAndRead({ into, snapshot: snapshots[0]! });
    } finally {
      await writeFile(path, sound);
      chmodSync(path, mode);
    }
  });

  /** A data pack that only this snapshot brought: one that was stored for it and that the snapshot before cannot need. */
  async function findPackOf(id: string): Promise<string> {
    const record = (await world.repository.listSnapshots()).snapshots.find((snapshot) => snapshot.id === id)!;
    const begun = Date.parse(record.startedAt);
    const packs = readdirSync(join(world.place.path, 'packs'));
    const found = packs
      .map((name) => ({ name, ...statSync(join(world.place.path, 'packs', name)) }))
      .filter(({ mtimeMs }) => mtimeMs >= begun)
      .sort((a, b) => b.size - a.size)[0];
    assert.ok(found !== undefined);
    return found.name;
  }
});
