import assert from 'node:assert/strict';
import { copyFile, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fetchWalFile } from '../../src/protect/wal/index.ts';
import { MARKER_NAME, type RestoreResult } from '../../src/restore/index.ts';
import { runAmcheck } from '../support/amcheck.ts';
import { readKeptFile } from '../support/kept-files.ts';
import { giveToServerUser } from '../support/plain-backup.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { historyOf, type ProtectedServer, startProtectedServer, untilOpen } from '../support/protected-server.ts';
import { prepareRandomHistory, readTransactionRecords, writeRandomHistory } from '../support/random-history.ts';
import { fetchRefereeTools, type RefereeTools, whyNoReferees } from '../support/referee-tools.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { seededRandom } from '../support/seeded-random.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const seed = Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 2 ** 31));

/**
 * Beside the restored files: what a restore is, and the WAL that its first start takes. The map of tablespaces is not restored, as the server
 * would follow it to the old places.
 */
const OURS = [MARKER_NAME, 'holdfast-recovery', 'tablespace_map'].map((name) => `--ignore=${name}`);

/** Every kind of index that amcheck can hold against its table, in two databases, with values that are stored apart. */
const schema = `
  CREATE TABLE item (id int PRIMARY KEY, text text, tags int[], at timestamptz DEFAULT now());
  CREATE INDEX ON item (left(text, 100));
  CREATE INDEX ON item (at) INCLUDE (id);
  CREATE UNIQUE INDEX ON item (md5(text), id) WHERE id % 2 = 0;
  CREATE INDEX ON item USING gin (tags);
  ALTER TABLE item ALTER text SET STORAGE EXTERNAL;
  INSERT INTO item SELECT i, repeat(md5(i::text), 1 + (i % 100)), ARRAY[i, i % 7] FROM generate_series(1, 4000) i;`;

for (const major of [18, 14] as const) {
  describe(`PostgreSQL's own tools on a restore of PostgreSQL ${major} (HOLDFAST_SEED=${seed})`, {
    skip: whyNoReferees(),
  }, () => {
    let world: ProtectedServer;
    let tools: RefereeTools;
    /** Restored and not started; the first start recovers to the end. */
    let waiting: RestoreResult;
    let manifest: string;
    /** Where the second database lies on the server. */
    let tablespace: string;

    before(async () => {
      tools = await fetchRefereeTools();
      const random = seededRandom(seed);
      world = await startProtectedServer(major, {
        max_prepared_transactions: '20',
        wal_keep_size: '1GB',
        ...(major >= 17 ? { summarize_wal: 'on' } : {}),
      });
      const { server } = world;
      if (major >= 15) await prepareRandomHistory(server);
      tablespace = join(world.scratch, 'apart');
      await mkdir(tablespace);
      await giveToServerUser(tablespace);
      await server.query(`CREATE TABLESPACE apart LOCATION '${tablespace}'`);
      await server.query('CREATE DATABASE second TABLESPACE apart');
      for (const database of ['postgres', 'second']) await server.query(schema, database);
      const load = () =>
        major >= 15
          ? writeRandomHistory(server, random, { firstRow: nextRow, transactions: 60 })
          : world.write(20).then(() => {});
      let nextRow = 1;
      const change = async () => {
        await server.query("UPDATE item SET text = text || 'x', tags = tags || 9 WHERE id % 3 = 0", 'second');
        await server.query('DELETE FROM item WHERE id % 5 = 0; REINDEX INDEX item_left_idx', 'second');
        await server.query('VACUUM item', 'second');
      };
      // What is written while the backup is taken is torn in it, and whole only after recovery.
      await Promise.all([world.backUp(), load(), change()]);
      nextRow += 60;
      await load();
      await world.settle();
      waiting = await world.restore({ target: { kind: 'latest' }, ...owner });
      const { snapshots } = await world.repository.listSnapshots();
      manifest = join(world.scratch, 'backup_manifest');
      await writeFile(manifest, await readKeptFile(world.repository, snapshots[0]!, 'meta/backup_manifest'));
    });
    after(() => world?.dispose());

    /** The tools of 18 read neither WAL nor pg_control of another major. */
    const isOwnMajor = major === 18;
    const judgeFiles = (...args: string[]) =>
      tools.run('pg_verifybackup', [`--manifest-path=${manifest}`, ...OURS, ...args, waiting.proposal.into]);

    it('pg_verifybackup finds every file as the manifest says, and sees one flipped bit', async () => {
      const verdict = await judgeFiles('--no-parse-wal');
      assert.equal(verdict.code, 0, verdict.stderr);
      assert.match(verdict.stdout, /backup successfully verified/);

      const file = join(waiting.proposal.into, 'global', '1262');
      await flipByte(file, 5000);
      const damaged = await judgeFiles('--no-parse-wal');
      await flipByte(file, 5000);
      assert.equal(damaged.code, 1);
      assert.match(damaged.stderr, /checksum mismatch for file "global\/1262"/);
    });

    if (isOwnMajor) {
      it('pg_verifybackup can read the WAL that the backup needs, and sees a flipped bit there', async () => {
        const wal = join(world.scratch, 'wal');
        await mkdir(wal);
        const { files, from } = waiting.proposal.wal;
        const { system } = waiting.proposal.route.lineage.header;
        for (const { name } of files) {
          const fetched = await fetchWalFile(world.repository, { system, name, destination: join(wal, name) });
          assert.equal(fetched.exitCode, 0, fetched.reason);
        }
        const verdict = await judgeFiles(`--wal-directory=${wal}`);
        assert.equal(verdict.code, 0, verdict.stderr);

        await flipByte(join(wal, files[0]!.name), Number(from % BigInt(1 << 24)) + 40);
        const damaged = await judgeFiles(`--wal-directory=${wal}`);
        assert.equal(damaged.code, 1);
        assert.match(damaged.stderr, /WAL parsing failed/);
      });
    }

    it('pg_amcheck finds every table and index whole after recovery to a moment under load', async () => {
      const lsn = await momentUnderLoad(world, major);
      const restored = await world.restore({
        target: { kind: 'lsn', lsn },
        start: { binDirectory: world.server.binDirectory },
        ...owner,
      });
      try {
        assert.notEqual(await historyOf(restored.instance!.instance), '');
        const verdict = await runAmcheck(tools, restored.instance!.instance);
        assert.equal(verdict.code, 0, verdict.stdout + verdict.stderr);
        assert.match(verdict.stderr, /checking btree index "postgres.public.item_left_idx"/);
        assert.match(verdict.stderr, /checking heap table "second.public.item"/);
      } finally {
        await restored.instance!.stop();
      }
      await judgeChecksums(restored.proposal.into);
      await rm(restored.proposal.into, { recursive: true });
    });

    async function judgeChecksums(directory: string): Promise<void> {
      if (!isOwnMajor) return;
      const judge = () => tools.run('pg_checksums', ['--check', '--pgdata', directory]);
      const verdict = await judge();
      assert.equal(verdict.code, 0, verdict.stdout + verdict.stderr);
      assert.match(verdict.stdout, /Bad checksums: +0\n/);
      await flipByte(join(directory, 'global', '1262'), 5000);
      const damaged = await judge();
      assert.equal(damaged.code, 1);
      assert.match(damaged.stdout, /Bad checksums: +1\n/);
    }

    it('pg_amcheck sees an index that lacks rows of its table', async () => {
      await using copy = await startPostgres({ major, dataDirectory: waiting.proposal.into });
      await untilOpen(copy);
      await copy.query('CREATE TABLE victim (n int PRIMARY KEY); INSERT INTO victim VALUES (1); CHECKPOINT');
      const [index] = await copy.query<{ path: string }>("SELECT pg_relation_filepath('victim_pkey') AS path");
      const file = join(copy.dataDirectory, index!.path);
      await copyFile(file, `${file}.old`);
      await copy.query('INSERT INTO victim SELECT generate_series(2, 5)');
      await copy.stop('fast');
      await copyFile(`${file}.old`, file);
      await rm(`${file}.old`);
      await giveToServerUser(file);
      await copy.restart();
      const verdict = await tools.run(
        'pg_amcheck',
        ['--heapallindexed', '--install-missing', '--table=victim', `--maintenance-db=${copy.url}`, 'postgres'],
        { PGPASSWORD: copy.password, PGHOST: '127.0.0.1', PGPORT: String(copy.port), PGUSER: 'postgres' },
      );
      assert.equal(verdict.code, 2, verdict.stderr);
      assert.match(verdict.stdout, /lacks matching index tuple within index "victim_pkey"/);
    });

    if (isOwnMajor) {
      it('pg_combinebackup takes a restored full as the first of a chain, and the result starts', async () => {
        const { server, scratch } = world;
        const full = await world.restore({ target: { kind: 'latest' }, ...owner });
        const directory = full.proposal.into;
        // As pg_basebackup would have left it: with its manifest, and without what a restore adds.
        await copyFile(manifest, join(directory, 'backup_manifest'));
        await rm(join(directory, 'recovery.signal'));
        await rm(join(directory, MARKER_NAME));
        await rm(join(directory, 'holdfast-recovery'), { recursive: true });
        await server.query('INSERT INTO item SELECT i FROM generate_series(10001, 10100) i');
        const connection = { PGPASSWORD: server.password, PGHOST: '127.0.0.1', PGPORT: String(server.port) };
        const increment = join(scratch, 'increment');
        const taken = await tools.run(
          'pg_basebackup',
          [
            ...['-U', 'postgres', '-D', increment, `--incremental=${manifest}`, '-c', 'fast', '-X', 'stream'],
            ...['-T', `${tablespace}=${increment}-apart`],
          ],
          connection,
        );
        assert.equal(taken.code, 0, taken.stderr);
        const combined = join(scratch, 'combined');
        const verdict = await tools.run('pg_combinebackup', [
          ...[directory, increment, '-o', combined],
          ...['-T', `${increment}-apart=${combined}-apart`],
        ]);
        assert.equal(verdict.code, 0, verdict.stderr);
        const verified = await tools.run('pg_verifybackup', [combined]);
        assert.equal(verified.code, 0, verified.stderr);
        await giveToServerUser(`${combined}-apart`);
        await using started = await startPostgres({ major, dataDirectory: combined });
        await untilOpen(started);
        const count = 'SELECT count(*)::int AS items, max(id) AS last FROM item';
        for (const database of ['postgres', 'second']) {
          assert.deepEqual(await started.query(count, database), await server.query(count, database));
        }
        await rm(directory, { recursive: true });
      });
    }
  });
}

/** The position of some commit in the second half of what was written. */
async function momentUnderLoad(world: ProtectedServer, major: number): Promise<bigint> {
  if (major < 15) return world.steps[25]!.lsnAfter;
  const { snapshots } = await world.repository.listSnapshots();
  const [end] = await world.server.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn() AS lsn');
  const records = await readTransactionRecords(world.server, { from: snapshots[0]!.wal.end, to: end!.lsn });
  return seededRandom(seed + 1).pick(records).lsn;
}

async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  const file = await open(path, 'r+');
  await file.write(Uint8Array.of(bytes[at]! ^ 0x10), 0, 1, at);
  await file.close();
}
