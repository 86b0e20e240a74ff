import assert from 'node:assert/strict';
import pg from 'pg';
import { MARKER_NAME } from '../../../src/restore/index.ts';
import { runAmcheck } from '../amcheck.ts';
import { type PostgresServer, startPostgres } from '../postgres-server.ts';
import { type ProtectedServer, untilOpen } from '../protected-server.ts';
import type { RefereeTools } from '../referee-tools.ts';
import { nobody, runsAsRoot } from '../scratch.ts';
import { type Ask, assertIndexesAgree, assertSameContents, assertSequencesKept, readContents } from './contents.ts';
import { ROW_COLUMNS, rows } from './model.ts';
import { type Point, removeRestored } from './world.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
/** What a restore has besides the files of the backup. */
const OURS = [MARKER_NAME, 'holdfast-recovery', 'tablespace_map'].map((name) => `--ignore=${name}`);

/** Restores a snapshot to a moment at or behind its end, and fails when anything there is not as it was on the server. */
export async function judgeRestore(
  world: ProtectedServer,
  tools: RefereeTools,
  given: { readonly snapshot: Point['snapshot']; readonly point: Point; readonly way: 'started' | 'manifest' },
): Promise<void> {
  const { snapshot, point, way } = given;
  const where = `in ${snapshot.id.slice(0, 12)} restored to ${point.name}`;
  const options = { target: { kind: 'name', name: point.name }, snapshot: snapshot.id, ...owner } as const;
  if (way === 'started') {
    const { instance, proposal } = await world.restore({
      ...options,
      start: { binDirectory: world.server.binDirectory },
    });
    try {
      const { host, port, user } = instance!.instance.target;
      await judgeServer(asking({ host, port, user }), point, where);
      const verdict = await runAmcheck(tools, instance!.instance);
      assert.equal(verdict.code, 0, `${where}\n${verdict.stdout}${verdict.stderr}`);
    } finally {
      await instance!.stop();
      await removeRestored(proposal.into);
    }
    return;
  }
  const { proposal } = await world.restore({ ...options, manifest: true });
  const { into } = proposal;
  try {
    // It is of 18, and reads pg_control of no other major.
    if (world.server.major === 18) {
      const verdict = await tools.run('pg_verifybackup', ['--no-parse-wal', ...OURS, into]);
      assert.equal(verdict.code, 0, `${where}\n${verdict.stderr}`);
    }
    // Beside an autovacuum pg_amcheck finds faults in the statistics of a sound server, too: values that were removed as it looked.
    const settings = { autovacuum: 'off' };
    await using copy = await startPostgres({ major: world.server.major, dataDirectory: into, settings });
    await untilWritable(copy);
    await judgeServer((sql, database) => copy.query(sql, database), point, where);
    const judged = await tools.run('pg_amcheck', ['--all', '--heapallindexed', '--install-missing'], {
      ...{ PGPASSWORD: copy.password, PGHOST: '127.0.0.1', PGPORT: String(copy.port), PGUSER: copy.user },
    });
    assert.equal(judged.code, 0, `${where}\n${judged.stdout}${judged.stderr}`);
  } finally {
    await removeRestored(into);
  }
}

function asking(target: { host: string; port: number; user: string }): Ask {
  return async <Row>(sql: string, database: string) => {
    const client = new pg.Client({ ...target, database });
    await client.connect();
    try {
      const results = await client.query(sql);
      return ([results].flat().at(-1)?.rows ?? []) as Row[];
    } finally {
      await client.end();
    }
  };
}

/** Settled when recovery is over. */
async function untilWritable(server: PostgresServer): Promise<void> {
  for (;;) {
    await untilOpen(server);
    const [row] = await server.query<{ recovers: boolean }>('SELECT pg_is_in_recovery() AS recovers');
    if (row?.recovers === false) return;
  }
}

async function judgeServer(ask: Ask, point: Point, where: string): Promise<void> {
  const { contents, sequences } = await readContents(ask);
  assertSameContents(contents, point.contents, where);
  assertSequencesKept(sequences, point.sequences, where);
  const databases = await ask<{ name: string }>(
    "SELECT datname AS name FROM pg_database WHERE datallowconn AND datname <> 'template1'",
    'postgres',
  );
  for (const { name } of databases) await judgeDatabase(ask, name, where);
}

async function judgeDatabase(ask: Ask, database: string, where: string): Promise<void> {
  await ask('CREATE EXTENSION IF NOT EXISTS pg_visibility; CREATE EXTENSION IF NOT EXISTS amcheck', database);
  const [marks] = await ask<{ wrong: string | null }>(
    `SELECT string_agg(c.oid::regclass::text || ' ' || t_ctid, ',') AS wrong FROM pg_class c,
       LATERAL (SELECT * FROM pg_check_visible(c.oid) UNION ALL SELECT * FROM pg_check_frozen(c.oid)) wrong
     WHERE relkind IN ('r', 't', 'm') AND relpersistence = 'p'`,
    database,
  );
  assert.equal(marks!.wrong, null, `rows marked as visible or frozen in ${database} ${where}`);
  const [version] = await ask<{ major: number }>(
    "SELECT current_setting('server_version_num')::int / 10000 AS major",
    database,
  );
  if (version!.major >= 18) {
    await ask(
      "SELECT gin_index_check(c.oid) FROM pg_class c, pg_am a WHERE a.oid = relam AND amname = 'gin' AND relkind = 'i' AND relpersistence = 'p'",
      database,
    );
  }
  const tables = await ask<{ name: string; persistence: string }>(
    `SELECT relname AS name, relpersistence AS persistence FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relpersistence <> 't' AND relname <> 'history'`,
    database,
  );
  for (const { name, persistence } of tables) {
    if (persistence === 'u') {
      const [count] = await ask<{ count: number }>(`SELECT count(*)::int AS count FROM ${name}`, database);
      assert.equal(count!.count, 0, `${database}.${name}, which was not logged, ${where}`);
    }
    await assertIndexesAgree(ask, database, name, where);
    // Where there is room is kept apart from the pages: it must not lead into nothing.
    await ask(`INSERT INTO ${name} (${ROW_COLUMNS}) ${rows(1_000_000, 300)}`, database);
    await assertIndexesAgree(ask, database, name, `written to ${where}`);
  }
}
