import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseBackupManifest, parseLsn } from '../../src/postgres/index.ts';
import { type BackupResult, runBackup } from '../../src/protect/backup/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
import {
  ChunkReader,
  type FileEntry,
  listAttestations,
  type Repository,
  readFileMap,
  readTree,
  type TreeEntry,
} from '../../src/repository/index.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

for (const major of [18, 14] as const) {
  let server: PostgresServer;
  let scratch: string;
  before(async () => {
    scratch = await makeScratchDirectory('base-backup');
    server = await startPostgres({ major });
    await server.query(`
      CREATE TABLE item (id int PRIMARY KEY, text text);
      INSERT INTO item SELECT i, md5(i::text) || md5((i * 7)::text) FROM generate_series(1, 60000) i;
      CREATE INDEX ON item (text);
      CREATE UNLOGGED TABLE scrap AS SELECT 1;`);
    await server.query('VACUUM item');
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  const backUp = (name: { repository: Repository; stateDirectory: string }): Promise<BackupResult> =>
    runBackup({
      ...name,
      source: targetOf(server.backupSocketUrl),
      cluster: 'test',
      checkpoint: 'fast',
      clock: systemClock,
      progress: silentProgress,
    });

  test(`PostgreSQL ${major}: a backup under load is listed with all that its manifest names`, async () => {
    const place = await makeRepository(scratch, `under-load-${major}`);
    const load = startLoad(server);
    const result = await backUp(place);
    await load.stop();
    const { snapshots, damaged } = await place.repository.listSnapshots();
    assert.deepEqual(snapshots, [result.snapshot]);
    assert.deepEqual(damaged, []);
    const entries = await readEntries(place.repository, result);
    const manifest = parseBackupManifest(await readFile(place.repository, entries.get('meta/backup_manifest')));
    assert.ok(manifest.files.length > 900, `files in the manifest: ${manifest.files.length}`);
    for (const file of manifest.files) {
      const entry = entries.get(`data/${file.path}`);
      assert.equal(entry?.type, 'file', file.path);
      assert.equal(BigInt((entry as FileEntry).size), BigInt(file.size), file.path);
    }
    const label = (await readFile(place.repository, entries.get('data/backup_label'))).toString();
    assert.match(label, new RegExp(`START WAL LOCATION: ${result.snapshot.wal.start} `));
    assert.equal(entries.get('data/pg_wal')?.type, 'directory');
    assert.deepEqual(result.checksumFailures, []);
    await place.repository.close();
  });

  test(`PostgreSQL ${major}: without a receiver the backup brings its own WAL, and is attested as stored`, async () => {
    const place = await makeRepository(scratch, `own-wal-${major}`);
    const { snapshot } = await backUp(place);
    const inventory = await readWalInventory(place.repository);
    const { lineage, timeline, start, end } = snapshot.wal;
    assert.ok(contiguousEnd(inventory, lineage, timeline, parseLsn(start)) >= parseLsn(end));
    const { attestations } = await listAttestations(place.repository, snapshot.id);
    assert.deepEqual(
      attestations.map(({ level }) => level),
      ['stored'],
    );
    const slots = await server.query<{ slot_name: string }>('SELECT slot_name FROM pg_replication_slots');
    assert.deepEqual(slots, [], 'no slot of the backup is left on the server');
    await place.repository.close();
  });

  test(`PostgreSQL ${major}: a second backup stores what changed and nothing else`, async () => {
    const place = await makeRepository(scratch, `second-${major}`);
    const first = await backUp(place);
    await server.query("INSERT INTO item VALUES (1000000, 'one more')");
    const second = await backUp(place);
    assert.ok(first.snapshot.stored.newBytes > 20_000_000, `first: ${first.snapshot.stored.newBytes}`);
    assert.ok(second.snapshot.stored.newBytes < first.snapshot.stored.newBytes / 4);
    assert.notEqual(second.snapshot.id, first.snapshot.id);
    assert.equal((await place.repository.listSnapshots()).snapshots.length, 2);
    await place.repository.close();
  });

  test(`PostgreSQL ${major}: pages with a wrong checksum are kept, and the backup says so`, async () => {
    const place = await makeRepository(scratch, `checksum-${major}`);
    const broken = await startPostgres({ major });
    try {
      await broken.query('CREATE TABLE victim AS SELECT i FROM generate_series(1, 5000) i');
      const [victim] = await broken.query<{ path: string }>("SELECT pg_relation_filepath('victim') AS path");
      const path = victim!.path;
      await broken.stop('fast');
      const descriptor = openSync(join(broken.dataDirectory, path), 'r+');
      writeSync(descriptor, Buffer.from('damage'), 0, 6, 3 * 8192 + 4000);
      closeSync(descriptor);
      await broken.restart();
      const result = await runBackup({
        ...place,
        source: targetOf(broken.backupSocketUrl),
        cluster: 'broken',
        checkpoint: 'fast',
        clock: systemClock,
        progress: silentProgress,
      });
      assert.ok(result.checksumFailures.length > 0);
      const { snapshots } = await place.repository.listSnapshots();
      const details = snapshots[0]!.details as { checksumFailures: string[] };
      assert.match(details.checksumFailures.join('\n'), new RegExp(path.split('/').at(-1)!));
    } finally {
      await broken.dispose();
      await place.repository.close();
    }
  });

  test(`PostgreSQL ${major}: a backup that is broken off is never listed and the next one succeeds`, async () => {
    const place = await makeRepository(scratch, `broken-off-${major}`);
    const stop = new AbortController();
    const progress = { ...silentProgress, advance: () => stop.abort(new Error('enough')) };
    await assert.rejects(
      runBackup({
        ...place,
        source: targetOf(server.backupSocketUrl),
        cluster: 'test',
        checkpoint: 'fast',
        clock: systemClock,
        progress,
        signal: stop.signal,
      }),
    );
    assert.deepEqual((await place.repository.listSnapshots()).snapshots, []);
    assert.deepEqual(readdirSync(await place.repository.store.spoolDirectory()), [], 'nothing is left in the spool');
    await backUp(place);
    assert.equal((await place.repository.listSnapshots()).snapshots.length, 1);
    await place.repository.close();
  });
}

async function readEntries(repository: Repository, { snapshot }: BackupResult): Promise<Map<string, TreeEntry>> {
  const index = await repository.loadIndex();
  const { readChunk } = new ChunkReader({ ...repository, index });
  const entries = new Map<string, TreeEntry>();
  for await (const entry of readTree(snapshot.tree.root, readChunk)) entries.set(entry.path, entry);
  index.close();
  return entries;
}

async function readFile(repository: Repository, entry: TreeEntry | undefined): Promise<Buffer> {
  assert.equal(entry?.type, 'file');
  const index = await repository.loadIndex();
  const { readChunk } = new ChunkReader({ ...repository, index });
  const parts: Buffer[] = [];
  for await (const map of readFileMap(entry as FileEntry, readChunk)) {
    for (const extent of map.extents) {
      if (extent.form === 'zero') parts.push(Buffer.alloc(extent.length));
      else parts.push((await readChunk(extent.id)).subarray(extent.offset, extent.offset + extent.length));
    }
  }
  index.close();
  return Buffer.concat(parts);
}

/** Writes, updates and drops all the time, so that files grow, shrink and vanish while they are read. */
function startLoad(server: PostgresServer): { stop(): Promise<void> } {
  let running = true;
  const work = (async () => {
    for (let i = 0; running; i++) {
      await server.query(`
        CREATE TABLE passing_${i} AS SELECT md5(j::text) FROM generate_series(1, 2000) j;
        UPDATE item SET text = md5(text) WHERE id % 500 = ${i % 500};
        DROP TABLE passing_${i};`);
    }
  })();
  return {
    async stop() {
      running = false;
      await work;
    },
  };
}
