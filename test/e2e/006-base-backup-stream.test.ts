import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  BLOCK_BYTES,
  connect,
  formatLsn,
  PageChecksumError,
  pageChecksum,
  parseBackupLabel,
  parseConnectionString,
  parseLsn,
  parsePageHeader,
} from '../../src/postgres/index.ts';
import { giveToServerUser, takePlainBackup } from '../support/plain-backup.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

for (const major of postgresMajors) {
  describe(`the base backup stream of PostgreSQL ${major}`, () => {
    let server: PostgresServer;
    let scratch: string;
    let tablespaceOid: string;
    before(async () => {
      scratch = await makeScratchDirectory('base-backup-stream');
      mkdirSync(join(scratch, 'space'), { mode: 0o700 });
      await giveToServerUser(join(scratch, 'space'));
      server = await startPostgres({ major });
      await server.query(`CREATE TABLESPACE space LOCATION '${join(scratch, 'space')}'`);
      await server.query('CREATE TABLE item AS SELECT i, md5(i::text) AS text FROM generate_series(1, 50000) i');
      await server.query('CREATE TABLE far TABLESPACE space AS SELECT * FROM item; CHECKPOINT');
      tablespaceOid = String((await server.query("SELECT oid FROM pg_tablespace WHERE spcname = 'space'"))[0]?.oid);
    });
    after(async () => {
      await server.dispose();
      await rm(scratch, { recursive: true, force: true });
    });

    const openReplication = () =>
      connect(parseConnectionString(server.backupSocketUrl, { variables: {} }), { replication: 'physical' });

    it('holds every file of the manifest, with its checksum, over both archives', async () => {
      const connection = await openReplication();
      const directory = join(scratch, 'whole');
      const backup = await takePlainBackup(connection, directory, { tablespaceMap: true, progress: true });
      assert.deepEqual(backup.archives, [`${tablespaceOid}.tar`, 'base.tar']);
      assert.deepEqual(
        backup.tablespaces.map(({ oid, path }) => [oid, path]),
        [
          [Number(tablespaceOid), join(scratch, 'space')],
          [null, null],
        ],
      );
      assert.ok(
        backup.tablespaces.every(({ estimatedBytes }) => estimatedBytes !== null && estimatedBytes > 1_000_000),
      );
      assert.equal(backup.order.at(-1), 'global/pg_control');
      assert.ok(backup.manifest.files.length > 900);
      for (const file of backup.manifest.files) {
        assert.deepEqual(backup.files.get(file.path), { size: file.size, sha256: file.checksum }, file.path);
      }
      assert.ok(backup.manifest.files.some(({ path }) => path.startsWith(`pg_tblspc/${tablespaceOid}/`)));
      const [range] = backup.manifest.walRanges;
      assert.deepEqual([range?.startLsn, range?.endLsn], [backup.startLsn, backup.endLsn]);
      assert.equal(backup.manifest.version, major >= 17 ? 2 : 1);
      const label = parseBackupLabel(await readFile(join(directory, 'backup_label'), 'utf8'));
      assert.equal(label.startLsn, backup.startLsn);
      assert.equal(label.label, 'plain');
      // The connection is good for the next command.
      assert.equal((await connection.query('IDENTIFY_SYSTEM')).length, 1);
      await connection.close();
    });

    it('holds pages whose checksums are those that we compute', async () => {
      const connection = await openReplication();
      const directory = join(scratch, 'pages');
      const backup = await takePlainBackup(connection, directory);
      await connection.close();
      let pages = 0;
      for (const { path, size } of backup.manifest.files) {
        if (!/^(base\/\d+|global)\/\d+(_fsm|_vm)?$/.test(path) || size === 0) continue;
        const bytes = await readFile(join(directory, path));
        for (let block = 0; block * BLOCK_BYTES < bytes.length; block++) {
          const page = bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
          const header = parsePageHeader(page);
          if (header.upper === 0) continue;
          // What was written while the backup ran may be torn; WAL repairs it.
          if (header.lsn >= backup.startLsn) continue;
          assert.equal(pageChecksum(page, block), header.checksum, `${path} block ${block}`);
          pages++;
        }
      }
      assert.ok(pages > 2000, `${pages} pages`);
    });

    it('can be read slowly, and held to a rate', async () => {
      const connection = await openReplication();
      const backup = await takePlainBackup(connection, join(scratch, 'slow'), { maxRateKilobytes: 1_000_000 });
      assert.ok(backup.endLsn > backup.startLsn);
      await connection.close();
    });

    it('is refused by name when the server cannot give it', async () => {
      await server.query("CREATE ROLE weak LOGIN PASSWORD 'weak'");
      const connection = await openReplication();
      await assert.rejects(takePlainBackup(connection, join(scratch, 'refused'), { maxRateKilobytes: 5 }), {
        code: 'PG_BASE_BACKUP_OPTION_INVALID',
      });
      await connection.close();
      const overSql = await connect(parseConnectionString(server.socketUrl, { variables: {} }));
      await assert.rejects(takePlainBackup(overSql, join(scratch, 'refused')), { sqlState: '42601' });
      await overSql.close();
    });

    it('is broken off when its consumer fails, and the server ends it', async () => {
      const connection = await openReplication();
      // A file stands where a directory is to be made.
      mkdirSync(join(scratch, 'blocked'));
      writeFileSync(join(scratch, 'blocked/base'), '');
      await assert.rejects(takePlainBackup(connection, join(scratch, 'blocked')), { code: 'EEXIST' });
      assert.equal(connection.isOpen, false);
      const second = await openReplication();
      await takePlainBackup(second, join(scratch, 'after-failure'));
      await second.close();
    });

    it('tells of broken pages, although it comes to its end', async () => {
      const [row] = await server.query(
        "SELECT pg_relation_filepath('item') AS path, pg_current_wal_lsn()::text AS lsn",
      );
      const path = join(server.dataDirectory, String(row?.path));
      await server.stop();
      const file = await open(path, 'r+');
      const good = Buffer.alloc(100);
      await file.read(good, 0, 100, 5 * BLOCK_BYTES + 4000);
      await file.write(Buffer.alloc(100, 0x55), 0, 100, 5 * BLOCK_BYTES + 4000);
      await server.restart();
      const connection = await openReplication();
      await assert.rejects(takePlainBackup(connection, join(scratch, 'broken')), (error) => {
        assert.ok(error instanceof PageChecksumError, String(error));
        assert.equal(error.code, 'PG_PAGE_CHECKSUMS_FAILED');
        assert.match(error.failures[0] ?? '', /checksum verification failed in file ".*", block 5/);
        assert.ok(error.backup.endLsn > parseLsn(String(row?.lsn)), formatLsn(error.backup.endLsn));
        return true;
      });
      assert.ok(connection.isOpen);
      await connection.close();
      await file.write(good, 0, 100, 5 * BLOCK_BYTES + 4000);
      await file.close();
      const repaired = await openReplication();
      await takePlainBackup(repaired, join(scratch, 'repaired'));
      await repaired.close();
    });
  });
}
