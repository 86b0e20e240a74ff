import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type HoldfastError, systemClock } from '../../src/lib/index.ts';
import { prepareRestore, type RestoreOptions, type RestoreResult } from '../../src/restore/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { type ProtectedServer, startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const latest = { kind: 'latest' } as const;

/** A directory that the server's user may write to. */
async function makePlace(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  if (runsAsRoot) await chown(path, nobody.uid, nobody.gid);
  return path;
}

for (const major of [18, 14] as const) {
  describe(`restoring PostgreSQL ${major} with tablespaces`, () => {
    let world: ProtectedServer;
    let fast: string;
    let slow: string;
    const oids = new Map<string, number>();

    before(async () => {
      world = await startProtectedServer(major, { autovacuum: 'off' });
      fast = await makePlace(join(world.scratch, 'fast disk'));
      slow = await makePlace(join(world.scratch, 'slow'));
      for (const [name, path] of [
        ['fast', fast],
        ['slow', slow],
      ] as const) {
        await world.server.query(`CREATE TABLESPACE ${name} LOCATION '${path}'`);
        const [row] = await world.server.query<{ oid: number }>(
          `SELECT oid FROM pg_tablespace WHERE spcname = '${name}'`,
        );
        oids.set(name, row!.oid);
      }
      await world.server.query('CREATE TABLE quick TABLESPACE fast AS SELECT generate_series(1, 5000) AS n');
      await world.server.query('CREATE DATABASE elsewhere TABLESPACE slow');
      await world.server.query('CREATE TABLE far AS SELECT generate_series(1, 300) AS n', 'elsewhere');
      await world.server.query('CHECKPOINT');
      await world.backUp();
      await world.server.query('INSERT INTO quick SELECT generate_series(5001, 6000)');
      await world.settle();
    });
    after(() => world?.dispose());

    /** Restores, starts and reads; the places of the tablespaces are looked at by `look` while all is there. */
    async function restoreAndLook(
      options: Partial<RestoreOptions>,
      look: (result: RestoreResult) => void | Promise<void>,
    ): Promise<void> {
      const { binDirectory } = world.server;
      const result = await world.restore({ target: latest, start: { binDirectory }, ...owner, ...options });
      try {
        const connection = await result.instance!.instance.connect();
        assert.deepEqual((await connection.query('SELECT count(*) FROM quick'))[0]?.rows, [['6000']]);
        await connection.close();
        const other = await result.instance!.instance.connect({ database: 'elsewhere' });
        assert.deepEqual((await other.query('SELECT count(*) FROM far'))[0]?.rows, [['300']]);
        await other.close();
        await look(result);
      } finally {
        await result.instance!.stop();
      }
    }

    const linkOf = (into: string, name: string) => readlinkSync(join(into, 'pg_tblspc', String(oids.get(name))));

    it('puts them beside the restored directory unless told otherwise, and leaves the original alone', async () => {
      const [was] = readdirSync(fast);
      const before = readdirSync(join(fast, was!), { recursive: true }).sort();
      await restoreAndLook({}, ({ proposal: { into, tablespaces } }) => {
        assert.deepEqual(
          tablespaces.map(({ from, path }) => [from, path]).sort(),
          [
            [fast, `${into}.tablespaces/${oids.get('fast')}`],
            [slow, `${into}.tablespaces/${oids.get('slow')}`],
          ].sort(),
        );
        assert.equal(linkOf(into, 'fast'), `${into}.tablespaces/${oids.get('fast')}`);
        assert.equal(existsSync(join(into, 'tablespace_map')), false, 'PostgreSQL would link the old places again');
        const [place] = readdirSync(linkOf(into, 'fast'));
        assert.match(place ?? '', /^PG_/);
        assert.equal(lstatSync(linkOf(into, 'fast')).mode & 0o777, 0o700);
      });
      assert.deepEqual(readdirSync(join(fast, was!), { recursive: true }).sort(), before);
    });

    it('puts them where each is mapped to, by name, OID or old path, or below one directory', async () => {
      const there = await makePlace(join(world.scratch, 'there'));
      const mapped = join(there, 'mapped');
      const tablespaces = { mappings: [{ which: slow, path: mapped }], into: join(there, 'rest') };
      await restoreAndLook({ tablespaces }, ({ proposal: { into } }) => {
        assert.equal(linkOf(into, 'slow'), mapped);
        assert.equal(linkOf(into, 'fast'), join(there, 'rest', String(oids.get('fast'))));
      });
      const byName = { mappings: [{ which: 'fast', path: join(there, 'named') }] };
      assert.deepEqual(
        (await prepare({ tablespaces: byName })).proposal.tablespaces.find(({ from }) => from === fast)?.path,
        join(there, 'named'),
      );
      await rm(there, { recursive: true });
    });

    it('refuses places that lead to one directory by links, and one that leads into the data directory', async () => {
      const real = await makePlace(join(world.scratch, 'real'));
      const [place, alias] = [join(real, 'same'), join(world.scratch, 'alias')];
      await symlink(real, alias);
      const refused = async (mappings: { which: string; path: string }[], options: Partial<RestoreOptions> = {}) =>
        assert.rejects(world.restore({ target: latest, ...owner, tablespaces: { mappings }, ...options }), {
          code: 'RESTORE_TABLESPACE_PLACE_UNUSABLE',
          detail: /leads to/,
        });
      const both = [
        { which: fast, path: place },
        { which: slow, path: join(alias, 'same') },
      ];
      await refused(both);
      await makePlace(place);
      await refused(both);
      await refused([{ which: fast, path: join(alias, 'data', 'inside') }], {
        into: await makePlace(join(real, 'data')),
      });
    });

    it('leaves alone what a cluster of another version has in the directory of a tablespace', async () => {
      const { proposal } = await world.restore({ target: latest, ...owner });
      // As pg_upgrade leaves it.
      const old = join(`${proposal.into}.tablespaces`, String(oids.get('fast')), 'PG_13_202007201');
      await mkdir(join(old, '5'), { recursive: true });
      await writeFile(join(old, '5', '16400'), 'of the old cluster');
      await world.restore({ into: proposal.into, target: latest, delta: true, ...owner });
      assert.equal(readFileSync(join(old, '5', '16400'), 'utf8'), 'of the old cluster');
    });

    it('leaves a directory that any server recovers, with its tablespaces in their new places', async () => {
      const { proposal } = await world.restore({ target: latest, ...owner });
      await using server = await startPostgres({ major, dataDirectory: proposal.into });
      await untilOpen(server);
      assert.deepEqual(await server.query('SELECT count(*)::int AS rows FROM quick'), [{ rows: 6000 }]);
      assert.equal(linkOf(proposal.into, 'fast'), `${proposal.into}.tablespaces/${oids.get('fast')}`);
    });

    const prepare = (options: Partial<RestoreOptions> = {}) =>
      prepareRestore(
        {
          repository: world.repository,
          clock: systemClock,
          into: join(world.scratch, 'nowhere'),
          target: latest,
          ...options,
        },
        true,
      );

    it('refuses a place that is used, that is not empty, or that lies in another one', async () => {
      const map = (path: string) => ({ tablespaces: { mappings: [{ which: String(oids.get('fast')), path }] } });
      await assert.rejects(prepare(map(fast)), {
        code: 'RESTORE_TABLESPACE_PLACE_UNUSABLE',
        detail: /The server of process [0-9]+ on ".*" has tablespace [0-9]+ there\./,
      });
      const full = await makePlace(join(world.scratch, 'full'));
      await writeFile(join(full, 'mine'), '');
      await assert.rejects(prepare(map(full)), { detail: 'Expected an empty directory or none, found "mine".' });
      await assert.rejects(prepare(map(join(world.scratch, 'nowhere', 'in'))), { code: 'RESTORE_TABLESPACE_INVALID' });
      await assert.rejects(prepare(map(join(world.scratch, 'not', 'mounted', 'here'))), { detail: /found none/ });
      await assert.rejects(prepare({ tablespaces: { mappings: [{ which: '1', path: full }] } }), {
        code: 'RESTORE_TABLESPACE_INVALID',
        detail: new RegExp(`The snapshot has tablespace .*${oids.get('slow')}`),
      });
      assert.equal(existsSync(join(world.scratch, 'nowhere')), false);
    });

    it('counts what each file system must hold', async () => {
      const { proposal } = await prepare();
      const [only] = proposal.size.fileSystems;
      assert.equal(proposal.size.fileSystems.length, 1);
      assert.equal(only!.paths.length, 3);
      assert.ok(only!.neededBytes >= proposal.size.dataBytes * 0.99, `${only!.neededBytes}`);
    });

    it('refuses WAL that makes a tablespace in the directory of a living server, and says how to allow an empty one', async () => {
      const later = await makePlace(join(world.scratch, 'later'));
      await world.server.query(`CREATE TABLESPACE later LOCATION '${later}'`);
      await world.server.query('CREATE TABLE late TABLESPACE later AS SELECT generate_series(1, 50) AS n');
      const [row] = await world.server.query<{ oid: number }>("SELECT oid FROM pg_tablespace WHERE spcname = 'later'");
      await world.settle();
      const was = readdirSync(later, { recursive: true }).sort();
      await assert.rejects(prepare(), (error: HoldfastError) => {
        assert.equal(error.code, 'RESTORE_TABLESPACE_IN_WAL');
        assert.match(error.detail ?? '', /has tablespace [0-9]+ there/);
        assert.ok(error.hints[0]?.includes(`--tablespace ${row!.oid}=${later}`), error.hints[0]);
        return true;
      });
      const permit = { tablespaces: { mappings: [{ which: later, path: later }] } };
      await assert.rejects(prepare(permit), { code: 'RESTORE_TABLESPACE_IN_WAL' });
      await assert.rejects(prepare({ tablespaces: { mappings: [{ which: later, path: join(world.scratch, 'x') }] } }), {
        code: 'RESTORE_TABLESPACE_IN_WAL',
        detail: /as PostgreSQL reads the path from the WAL/,
      });
      await world.server.stop();
      await assert.rejects(prepare(permit), { detail: /The directory is not empty: it holds "PG_/ });
      assert.deepEqual(readdirSync(later, { recursive: true }).sort(), was);
      await rm(later, { recursive: true });
      await assert.rejects(prepare(permit), { detail: /missing, and PostgreSQL does not make it/ });
      await makePlace(later);
      await restoreAndLook(permit, async (result) => {
        const connection = await result.instance!.instance.connect();
        assert.deepEqual((await connection.query('SELECT count(*) FROM late'))[0]?.rows, [['50']]);
        await connection.close();
        assert.ok(result.proposal.warnings.some((text) => text.includes(`recovery puts it at "${later}"`)));
      });
    });
  });
}

describe('tablespaces that lie in the data directory itself', () => {
  for (const major of [18, 16] as const) {
    it(`come back in it, those of the backup and those that only the WAL has (PostgreSQL ${major})`, async () => {
      const world = await startProtectedServer(major, { autovacuum: 'off', allow_in_place_tablespaces: 'on' });
      try {
        const { server } = world;
        await server.query("CREATE TABLESPACE inside LOCATION ''");
        await server.query('CREATE TABLE early TABLESPACE inside AS SELECT generate_series(1, 4000) AS n');
        await server.query('CHECKPOINT');
        await world.backUp();
        await server.query("CREATE TABLESPACE later LOCATION ''");
        await server.query('CREATE TABLE late TABLESPACE later AS SELECT generate_series(1, 70) AS n');
        await world.settle();
        const rows = 'SELECT (SELECT count(*)::int FROM early) AS early, (SELECT count(*)::int FROM late) AS late';
        const started = await world.restore({ target: latest, start: { binDirectory: server.binDirectory }, ...owner });
        try {
          const connection = await started.instance!.instance.connect();
          assert.deepEqual((await connection.query(rows))[0]?.rows, [['4000', '70']]);
          await connection.close();
          for (const { oid, path } of started.proposal.tablespaces) {
            assert.equal(path, null);
            assert.ok(lstatSync(join(started.proposal.into, 'pg_tblspc', String(oid))).isDirectory());
          }
          assert.equal(started.proposal.survey.tablespaces.filter(({ path }) => path === null).length, 1);
        } finally {
          await started.instance!.stop();
        }
        await rm(started.proposal.into, { recursive: true });
        const { proposal } = await world.restore({ target: latest, ...owner });
        await using other = await startPostgres({ major, dataDirectory: proposal.into });
        await untilOpen(other);
        assert.deepEqual(await other.query(rows), [{ early: 4000, late: 70 }]);
      } finally {
        await world.dispose();
      }
    });
  }

  it('are missed while the backup is made, as servers before version 16 leave them out (PostgreSQL 15)', async () => {
    const world = await startProtectedServer(15, { autovacuum: 'off', allow_in_place_tablespaces: 'on' });
    try {
      await world.server.query("CREATE TABLESPACE inside LOCATION ''");
      await world.server.query('CREATE TABLE early TABLESPACE inside AS SELECT generate_series(1, 4000) AS n');
      await assert.rejects(world.backUp(), { code: 'BACKUP_TABLESPACE_LEFT_OUT', detail: /tablespace "inside"/ });
      assert.deepEqual((await world.repository.listSnapshots()).snapshots, []);
    } finally {
      await world.dispose();
    }
  });
});
