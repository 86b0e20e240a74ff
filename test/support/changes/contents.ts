import assert from 'node:assert/strict';
import { INDEX_KINDS, type IndexKind } from './model.ts';

/** Asks a server. */
export type Ask = <Row>(sql: string, database: string) => Promise<Row[]>;

/** All that one can read in a server and that outlives a crash: a text for each table, large object, database and what else there is. */
export type Contents = Readonly<Record<string, string>>;

/** Numbers that sequences have come to, by name. Replay may bring one ahead by what is logged ahead. */
export type Sequences = Readonly<Record<string, number>>;

/** Source: PostgreSQL, sequence.c, SEQ_LOG_VALS. */
const LOGGED_AHEAD_MAX = 32;

const DATABASES = 'SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY 1';
const TABLES = `SELECT c.oid::regclass::text AS name, c.relpersistence AS persistence FROM pg_class c
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`;
/** Of relations what a backup must bring back: where each lies, and as what. */
const RELATIONS = `SELECT relname AS name, concat_ws(' ', oid, relkind, relpersistence, relfilenode, reltablespace, relispartition) AS text
  FROM pg_class WHERE relpersistence <> 't' AND relkind NOT IN ('v', 'c')`;
const CLUSTER = `SELECT (SELECT string_agg(concat_ws(' ', oid, datname, dattablespace), ',' ORDER BY oid) FROM pg_database) AS databases,
  (SELECT string_agg(concat_ws(' ', oid, spcname), ',' ORDER BY oid) FROM pg_tablespace) AS tablespaces,
  (SELECT string_agg(gid, ',' ORDER BY gid) FROM pg_prepared_xacts) AS prepared,
  (SELECT string_agg(concat_ws(' ', oid, md5(lo_get(oid))), ',' ORDER BY oid) FROM pg_largeobject_metadata) AS large`;

/** The number of rows and the sum, modulo 2^128, of the hashes of all of them, each with its place in the file. */
function sumOf(table: string, label: string): string {
  const half = (side: 'left' | 'right') => `('x' || ${side}(hash, 16))::bit(64)::bigint::numeric`;
  return `SELECT '${label}' AS name, count(*) || ' ' ||
    coalesce(sum(${half('left')} * 18446744073709551616 + ${half('right')}) % 340282366920938463463374607431768211456, 0) AS text
    FROM (SELECT md5(t.ctid::text || t::text) AS hash FROM ${table} t) hashes`;
}

/** Reads it all. Unlogged tables are read, too, but what is in them does not count: a backup brings them back empty. */
export async function readContents(ask: Ask): Promise<{ contents: Contents; sequences: Sequences }> {
  const contents: Record<string, string> = {};
  const sequences: Record<string, number> = {};
  const [cluster] = await ask<Record<string, string | null>>(CLUSTER, 'postgres');
  for (const [what, text] of Object.entries(cluster!)) contents[what] = text ?? '';
  for (const { name: database } of await ask<{ name: string }>(DATABASES, 'postgres')) {
    const tables = await ask<{ name: string; persistence: string }>(TABLES, database);
    const sums = tables.filter(({ persistence }) => persistence === 'p').map(({ name }) => sumOf(name, name));
    const rows = sums.length === 0 ? [] : await ask<Named>(sums.join(' UNION ALL '), database);
    for (const { name, text } of rows) contents[`${database}.${name}`] = text;
    for (const { name, text } of await ask<Named>(RELATIONS, database)) contents[`${database}/${name}`] = text;
    const last = 'SELECT sequencename AS name, coalesce(last_value, 0)::int AS last FROM pg_sequences';
    for (const { name, last: value } of await ask<{ name: string; last: number }>(last, database)) {
      sequences[`${database}.${name}`] = value;
    }
  }
  return { contents, sequences };
}

interface Named {
  readonly name: string;
  readonly text: string;
}

/** Fails with the names of what is missing, new or otherwise. */
export function assertSameContents(found: Contents, expected: Contents, where: string): void {
  const names = new Set([...Object.keys(found), ...Object.keys(expected)]);
  const differing = [...names].filter((name) => found[name] !== expected[name]);
  const told = differing.slice(0, 10).map((name) => `${name}: found ${found[name]}, expected ${expected[name]}`);
  assert.equal(differing.length, 0, `${where}\n${told.join('\n')}`);
}

/** A sequence never goes back, and is ahead at most by what the server logs ahead. */
export function assertSequencesKept(found: Sequences, expected: Sequences, where: string): void {
  assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort(), where);
  for (const [name, value] of Object.entries(expected)) {
    const ahead = found[name]! - value;
    assert.ok(ahead >= 0 && ahead <= LOGGED_AHEAD_MAX, `${name} is at ${found[name]}, expected ${value} ${where}`);
  }
}

/** What an index of each kind is asked, by a row of the table. */
const QUESTIONS: Readonly<Record<IndexKind, (n: number) => string>> = {
  btree: (n) => `n BETWEEN ${n} AND ${n + 300}`,
  hash: (n) => `code = hashint4(${n})`,
  gin: (n) => `words @> ARRAY['x${n % 101}']`,
  gist: (n) => `place <@ box(point(${n % 90}, ${n % 80}), point(${(n % 90) + 9}, ${(n % 80) + 9}))`,
  brin: (n) => `day BETWEEN ${Math.floor(n / 10)} AND ${Math.floor(n / 10) + 30}`,
  spgist: (n) => `path = md5('${n}')`,
};

/** Fails when an index leads to other rows than a look at the whole table does. */
export async function assertIndexesAgree(ask: Ask, database: string, table: string, where: string): Promise<void> {
  const [row] = await ask<{ n: number }>(`SELECT coalesce(max(n), 1)::int AS n FROM ${table}`, database);
  const conditions = INDEX_KINDS.flatMap((kind) => [1, Math.ceil(row!.n / 3), row!.n].map((n) => QUESTIONS[kind](n)));
  const questions = conditions.map(
    (condition, i) =>
      `SELECT ${i} AS number, count(*) || ' ' || coalesce(sum(hashtext(t::text)), 0) AS text FROM ${table} t WHERE ${condition}`,
  );
  const answer = (which: string) =>
    ask<{ text: string }>(`${which}; ${questions.join(' UNION ALL ')} ORDER BY number`, database);
  const whole = await answer('SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off');
  const byIndex = await answer('SET enable_seqscan = off');
  assert.deepEqual(byIndex, whole, `the indexes of ${database}.${table} ${where}`);
}
