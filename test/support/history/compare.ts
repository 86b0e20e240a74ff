import assert from 'node:assert/strict';
import pg from 'pg';
import type { Instance } from '../../../src/postgres/index.ts';
import { describeCluster, type Expected } from './model.ts';

/** Databases that every cluster has, and the history does not write to. */
const OTHER_DATABASES = ['template0', 'template1'];

/** Holds a restored server against what must be there: databases, tables with columns and rows, large objects, prepared transactions, sequences. */
export async function compareWithExpected(instance: Instance, expected: Expected, message: string): Promise<void> {
  const names = (await ask(instance, 'postgres', 'SELECT datname AS line FROM pg_database')).filter(
    (name) => !OTHER_DATABASES.includes(name),
  );
  assert.deepEqual(names.sort(), [...expected.cluster.databases.keys()].sort(), message);
  const prepared = await ask(instance, 'postgres', 'SELECT gid AS line FROM pg_prepared_xacts');
  const found = [`prepared: ${prepared.sort().join(' ')}`];
  for (const name of names) {
    found.push(`database ${name}`, ...(await describeDatabase(instance, name)));
    for (const [sequence, least] of expected.cluster.databases.get(name)!.sequences) {
      const [last] = await ask(instance, name, `SELECT last_value::text AS line FROM ${sequence}`);
      assert.ok(Number(last) >= least, `${message}: ${sequence} would give ${last} again, which ${least} was given`);
    }
  }
  const wanted = describeCluster(expected);
  const place = wanted.findIndex((line, at) => line !== found[at]);
  if (place !== -1) assert.fail(`${message}: ${describeDifference(wanted[place]!, found[place])}`);
  assert.equal(found.length, wanted.length, `${message}: more is there than was expected`);
}

async function describeDatabase(instance: Instance, name: string): Promise<string[]> {
  const tables = await ask(
    instance,
    name,
    `SELECT c.relname || ' ' || string_agg(a.attname, ' ' ORDER BY a.attnum) AS line
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY c.relname`,
  );
  const lines: string[] = [];
  for (const [table, ...columns] of tables.map((line) => line.split(' ')).sort(([a], [b]) => (a! < b! ? -1 : 1))) {
    const [rows] = await ask(
      instance,
      name,
      `SELECT coalesce(string_agg(id || '=' || v, ' ' ORDER BY id), '') AS line FROM ${table}`,
    );
    lines.push(`${name}.${table} (${columns.join(' ')}): ${rows}`);
  }
  const objects = await ask(
    instance,
    name,
    `SELECT oid || ': ' || encode(lo_get(oid), 'hex') AS line FROM pg_largeobject_metadata`,
  );
  return [...lines, ...objects.sort(byOid).map((line) => `${name} large object ${line}`)];
}

/** As the model orders them: by the text of the OID. */
function byOid(a: string, b: string): number {
  const [left, right] = [a.split(':')[0]!, b.split(':')[0]!];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Over PostgreSQL's usual client, not over ours. */
async function ask(instance: Instance, database: string, sql: string): Promise<string[]> {
  const { host, port, user } = instance.target;
  const client = new pg.Client({ host, port, user, database });
  await client.connect();
  try {
    const { rows } = await client.query<{ line: string }>(sql);
    return rows.map(({ line }) => line);
  } finally {
    await client.end();
  }
}

/** The words of which one line has more than the other: a whole table would bury them. */
function describeDifference(wanted: string, found = ''): string {
  const [has, should] = [new Set(found.split(' ')), new Set(wanted.split(' '))];
  const missing = [...should].filter((word) => !has.has(word)).slice(0, WORDS_SHOWN_MAX);
  const foreign = [...has].filter((word) => !should.has(word)).slice(0, WORDS_SHOWN_MAX);
  return `in "${wanted.slice(0, 40)}" is missing: ${missing.join(' ')}; there is too much: ${foreign.join(' ')}`;
}

const WORDS_SHOWN_MAX = 30;
