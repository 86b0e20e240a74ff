import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { type Instance, parseBackupManifest } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { findEntry, readFileMap } from '../../src/repository/index.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import { targetOf } from '../support/repository.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { type Sessions, startSessions } from '../support/sessions.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

/** Statements that make files grow, shrink, vanish and be written anew, by name of what they do. */
const changes: Record<string, (round: number) => string> = {
  grow: () => "INSERT INTO growing SELECT i, repeat('x', 200) FROM generate_series(1, 3000) i",
  shrink: () =>
    "DELETE FROM shrinking WHERE id > 500; VACUUM (TRUNCATE) shrinking; INSERT INTO shrinking SELECT i, repeat('y', 300) FROM generate_series(501, 4000) i",
  truncate: (round) => `TRUNCATE emptied; INSERT INTO emptied SELECT i, '${round}' FROM generate_series(1, 2000) i`,
  rewrite: () => 'UPDATE rewritten SET n = n + 1 WHERE id % 3 = 0; VACUUM FULL rewritten',
  // What was dropped leaves the disk with the next checkpoint.
  checkpoint: () => 'CHECKPOINT; SELECT pg_sleep(0.05)',
  reindex: () => 'REINDEX INDEX growing_text',
  vanish: (round) =>
    `CREATE TABLE passing_${round} (id int PRIMARY KEY, text text); INSERT INTO passing_${round} SELECT i, md5(i::text) FROM generate_series(1, 2000) i` +
    (round < 2 ? '' : `; DROP TABLE passing_${round - 2}`),
};

/** What a server holds, table by table and index by index, in one text. */
const CONTENT = `
  SELECT string_agg(name || ' ' || (xpath('/row/sum/text()', query_to_xml(
    format('SELECT count(*) || '':'' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS sum FROM %I t', name), false, true, '')))[1]::text, E'\\n' ORDER BY name)
  FROM (SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r') tables`;
const CHECKED = `
  SELECT count(bt_index_check(c.oid, true))::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
  WHERE c.relkind = 'i' AND c.relpersistence = 'p'`;
const BROKEN = `
  SELECT coalesce(string_agg(v::text, E'\\n'), '') FROM pg_class c, LATERAL verify_heapam(c.oid) v WHERE c.relkind = 'r' AND c.relpersistence = 'p'`;

it('a backup whose files grow, shrink and vanish while they are read is restored to what the server held', async () => {
  const world = await startProtectedServer(18, { autovacuum: 'off' });
  try {
    const { server } = world;
    await server.query(`
      CREATE EXTENSION amcheck;
      CREATE TABLE growing (id int, text text); CREATE INDEX growing_text ON growing (id, text);
      CREATE TABLE shrinking (id int PRIMARY KEY, text text);
      INSERT INTO shrinking SELECT i, repeat('y', 300) FROM generate_series(1, 4000) i;
      CREATE TABLE emptied (id int PRIMARY KEY, text text);
      CREATE TABLE rewritten (id int PRIMARY KEY, n int);
      INSERT INTO rewritten SELECT i, 0 FROM generate_series(1, 20000) i;
      CREATE TABLE bulk AS SELECT i, md5(i::text) || md5((-i)::text) AS text FROM generate_series(1, 150000) i;`);
    const load = startLoad(server);
    await load.rounds(2);
    const { snapshot } = await runBackup({
      ...world.place,
      source: targetOf(server.backupSocketUrl),
      cluster: 'main',
      checkpoint: 'fast',
      clock: systemClock,
      progress: silentProgress,
      // Slowly enough for much to change meanwhile.
      maxRate: 16_384,
    });
    const rounds = await load.stop();
    await server.query('CHECKPOINT');
    const kinds = await compareWithDisk(world, snapshot.tree.root);
    assert.ok(kinds.gone > 0, `files that were read and are gone: ${kinds.gone}`);
    assert.ok(kinds.larger > 0, `files that grew: ${kinds.larger}`);
    assert.ok(rounds > 4, `rounds of changes: ${rounds}`);

    await world.settle();
    const [held] = await server.query<{ string_agg: string }>(CONTENT);
    const { binDirectory } = server;
    const result = await world.restore({ target: { kind: 'latest' }, start: { binDirectory }, ...owner });
    const restored = result.instance!;
    try {
      assert.equal(await ask(restored.instance, CONTENT), held!.string_agg);
      assert.ok(Number(await ask(restored.instance, CHECKED)) > 100);
      assert.equal(await ask(restored.instance, BROKEN), '');
    } finally {
      await restored.stop();
    }
  } finally {
    await world.dispose();
  }
});

async function ask(instance: Instance, sql: string): Promise<string> {
  const connection = await instance.connect();
  try {
    return (await connection.query(sql)).at(-1)!.rows[0]![0]!;
  } finally {
    await connection.close();
  }
}

/** Each session makes its kind of change over and over, until it is told to stop. */
function startLoad(server: PostgresServer): Sessions {
  return startSessions(
    server,
    Object.values(changes).map((statement) => async (client, round) => {
      // One by one, as VACUUM does not run inside a transaction.
      for (const sql of statement(round).split('; ')) await client.query(sql);
    }),
  );
}

/** How the files that the server sent compare with those that it has now. */
async function compareWithDisk(world: ProtectedServer, root: string): Promise<{ gone: number; larger: number }> {
  const { repository, server } = world;
  const index = await repository.loadIndex();
  const { readChunk } = repository.openChunkReader(index);
  const entry = await findEntry(root, 'meta/backup_manifest', readChunk);
  assert.ok(entry?.type === 'file');
  const parts: Buffer[] = [];
  for await (const map of readFileMap(entry, readChunk)) {
    for (const extent of map.extents) if (extent.form === 'chunk') parts.push(await readChunk(extent.id));
  }
  index.close();
  const kinds = { gone: 0, larger: 0 };
  for (const { path, size } of parseBackupManifest(Buffer.concat(parts)).files) {
    if (!/^base\/\d+\/\d+$/.test(path)) continue;
    const now = join(server.dataDirectory, path);
    if (!existsSync(now)) kinds.gone += 1;
    else if (statSync(now).size > size) kinds.larger += 1;
  }
  return kinds;
}
