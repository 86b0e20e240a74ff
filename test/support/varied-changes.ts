import pg from 'pg';
import type { PostgresServer } from './postgres-server.ts';

/** An index of every kind that the server has without extensions. */
const INDEXES = `
  CREATE INDEX ON varied USING btree (n);
  CREATE INDEX ON varied USING hash (n);
  CREATE INDEX ON varied USING gin (words);
  CREATE INDEX ON varied USING gist (place);
  CREATE INDEX ON varied USING spgist (place);
  CREATE INDEX ON varied USING brin (n);`;

/** Makes the tables of `writeVariedChanges`. */
export async function prepareVariedChanges(server: PostgresServer): Promise<void> {
  await server.query(`
    CREATE TABLE varied (n int, words text[], place point, filler text);
    CREATE TABLE cut (n int, filler text);
    CREATE TABLE emptied (n int);
    CREATE SEQUENCE counted;
    ${INDEXES}`);
}

/**
 * Changes files in every way in which a server does: rows and all kinds of indexes, large values, tables made, rewritten, cut and dropped, a copy
 * that fails, databases made by both strategies and dropped, savepoints, a prepared transaction, large objects, sequences.
 */
export async function writeVariedChanges(server: PostgresServer, round: number): Promise<void> {
  const base = round * 1000;
  await server.query(`
    INSERT INTO varied SELECT ${base} + i, ARRAY[md5(i::text), 'word' || i % 7], point(i % 97, i % 89), repeat(md5(i::text), 20)
      FROM generate_series(1, 400) i;
    UPDATE varied SET filler = filler || 'x' WHERE n % 13 = ${round % 13};
    INSERT INTO varied SELECT ${base}, NULL, NULL, string_agg(md5(random()::text), '') FROM generate_series(1, 4000);
    INSERT INTO cut SELECT i, repeat('y', 200) FROM generate_series(1, 3000) i;
    SELECT nextval('counted') FROM generate_series(1, 50);
    SELECT lo_from_bytea(0, decode(repeat('ab', 20000), 'hex'));`);
  await server.query(`DELETE FROM cut WHERE ctid > (SELECT max(ctid) FROM cut WHERE n < 1500)`);
  await server.query('VACUUM (TRUNCATE) cut');
  await server.query('INSERT INTO emptied SELECT generate_series(1, 2000)');
  await server.query('TRUNCATE emptied');
  await server.query(`INSERT INTO emptied VALUES (${round})`);
  await failCopy(server);
  await server.query(`CREATE TABLE brief AS SELECT i, md5(i::text) FROM generate_series(1, 500) i`);
  await server.query('DROP TABLE brief');
  if (round % 3 === 0) await server.query('VACUUM FULL varied');
  if (round % 3 === 1) await server.query('REINDEX TABLE varied');
  if (round % 3 === 2) await server.query('VACUUM (FREEZE) varied');
  const strategy = round % 2 === 0 ? 'wal_log' : 'file_copy';
  await server.query(`CREATE DATABASE other_${round} STRATEGY ${strategy}`);
  await server.query('CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 300)', `other_${round}`);
  if (round % 2 === 1) await server.query(`DROP DATABASE other_${round}`);
}

/** Rows are written, and then the statement fails. */
async function failCopy(server: PostgresServer): Promise<void> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    await client.query('BEGIN; CREATE TABLE never (n int); SAVEPOINT here');
    await client
      .query(
        'INSERT INTO never SELECT CASE WHEN i < 2000 THEN i ELSE 1 / (i - 2000) END FROM generate_series(1, 2000) i',
      )
      .catch(() => {}); // It fails by a division by zero, as it is meant to.
    await client.query('ROLLBACK TO here; INSERT INTO never SELECT generate_series(1, 1000); ROLLBACK');
  } finally {
    await client.end();
  }
}
