import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { giveToServerUser } from '../plain-backup.ts';
import type { PostgresServer } from '../postgres-server.ts';
import type { Random } from '../seeded-random.ts';
import { COLUMNS, INDEX_KINDS, INDEXES, type Prepared, ROW_COLUMNS, rows, type Table } from './model.ts';

const TABLES_MAX = 14;
const DATABASES_MAX = 4;
const PREPARED_MAX = 4;
const SESSIONS_MAX = 2;
const TABLESPACES_MAX = 4;

/** A change that can be made: it says in words what it did, or null when there is nothing that it could be done to. */
type Change = (changes: RandomChanges) => Promise<string | null>;

/**
 * Changes a server in every way in which one does, one change at a time, in an order that the seed decides. It knows which tables, databases and
 * transactions there are, so that each change is one that succeeds, or one that is meant to fail.
 */
export class RandomChanges {
  readonly server: PostgresServer;
  readonly random: Random;
  /** A directory that the server can write to. */
  readonly directory: string;
  /** Everything that was done, in order. */
  readonly done: string[] = [];
  readonly tables: Table[] = [];
  readonly databases: string[] = ['postgres'];
  readonly tablespaces: string[] = ['pg_default'];
  readonly prepared: Prepared[] = [];
  readonly sequences: string[] = [];
  readonly largeObjects: number[] = [];
  sessions: pg.Client[] = [];
  #names = 0;

  constructor(server: PostgresServer, random: Random, directory: string) {
    this.server = server;
    this.random = random;
    this.directory = directory;
  }

  /** What is there before the first backup: two tablespaces, a second database, a few tables. */
  async prepare(): Promise<void> {
    await giveToServerUser(this.directory);
    for (let i = 0; i < 2; i++) await this.#do('create tablespace');
    await this.#do('create database');
    for (let i = 0; i < 5; i++) await this.#do('create table');
    for (let i = 0; i < 12; i++) await this.step();
  }

  /** Makes so many changes, one after the other. */
  async make(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.step();
  }

  async step(): Promise<void> {
    for (;;) {
      if (await this.#do(this.random.pick(DRAWS))) return;
    }
  }

  async #do(name: string): Promise<boolean> {
    const at = this.done.length;
    try {
      const words = await CHANGES[name]![1](this);
      if (words === null) return false;
      this.done.push(`${name}: ${words}`);
      return true;
    } catch (error) {
      throw new Error(`change ${at + 1}, "${name}": ${String(error)}\nbefore it:\n${this.done.slice(-12).join('\n')}`, {
        cause: error,
      });
    }
  }

  /** The server ends from one moment to the next, and its sessions with it, and starts again. */
  async crash(): Promise<void> {
    await this.server.kill9();
    await this.dispose();
    await this.server.restart();
    this.done.push('crash');
  }

  async dispose(): Promise<void> {
    for (const session of this.sessions) await session.end();
    this.sessions = [];
  }

  newName(prefix: string): string {
    this.#names += 1;
    return `${prefix}${this.#names}`;
  }

  chance(oneIn: number): boolean {
    return this.random.below(oneIn) === 0;
  }

  /** Any table; with `free`, one that nobody's prepared transaction keeps from being locked. */
  table(options: { free?: boolean } = {}): Table | null {
    const found = this.tables.filter(({ pins }) => options.free !== true || pins === 0);
    return found.length === 0 ? null : this.random.pick(found);
  }

  async query(database: string, ...statements: string[]): Promise<void> {
    for (const sql of statements) await this.server.query(sql, database);
  }

  /** Statements of one table, in the words that are kept. */
  async on(table: Table, ...statements: string[]): Promise<string> {
    await this.query(table.database, ...statements);
    return `${table.database}: ${statements.join('; ').replace(/\s+/g, ' ').slice(0, 160)}`;
  }

  /** Rows for a table that no other has. */
  newRows(table: Table, countMax: number, bodyBytes?: number): string {
    const count = 1 + this.random.below(countMax);
    const from = table.next;
    table.next += count;
    return rows(from, count, {
      salt: this.random.below(1000),
      bodyBytes: bodyBytes ?? this.random.pick([32, 96, 96, 600]),
    });
  }

  /** The path of a file that the server may write and read. */
  newFile(): string {
    return join(this.directory, this.newName('copy'));
  }
}

/** Some share of a table's rows. */
function someRows({ random }: RandomChanges, table: Table): string {
  const of = random.pick([3, 20, 100, 500]);
  const from = random.below(Math.max(1, table.next));
  return random.pick([
    `n % ${of} = ${random.below(of)}`,
    `n BETWEEN ${from} AND ${from + random.below(200)}`,
    `day = ${Math.floor(from / 10)}`,
  ]);
}

const insert: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  return changes.on(table, `INSERT INTO ${table.name} (${ROW_COLUMNS}) ${changes.newRows(table, 800)}`);
};

/** Values of many kilobytes, which are stored apart. */
const insertLargeValues: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  return changes.on(table, `INSERT INTO ${table.name} (${ROW_COLUMNS}) ${changes.newRows(table, 12, 20_000)}`);
};

const copy: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  const file = changes.newFile();
  await changes.query(table.database, `COPY (${changes.newRows(table, 3000)}) TO '${file}'`);
  const from = `COPY ${table.name} (${ROW_COLUMNS}) FROM '${file}'`;
  if (table.leaves.length > 1 || changes.chance(3)) return changes.on(table, from);
  // Rows that are frozen and pages that are all-visible as they are written.
  return changes.on(table, `BEGIN; TRUNCATE ${table.name}; ${from} WITH (FREEZE); COMMIT`);
};

/** The file has grown by many pages when it fails, which stay. */
const copyThatFails: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  const file = changes.newFile();
  const good = rows(table.next, 500 + changes.random.below(4000));
  const withBad = `SELECT n::text, code, day, words, place, path, body FROM (${good}) good UNION ALL SELECT 'none', 0, 0, NULL, NULL, NULL, NULL`;
  await changes.query(table.database, `COPY (${withBad}) TO '${file}'`);
  const statement = `COPY ${table.name} (${ROW_COLUMNS}) FROM '${file}'`;
  try {
    await changes.query(table.database, statement);
  } catch (error) {
    if (/invalid input syntax/.test(String(error))) return `${table.database}: ${statement}`;
    throw error;
  }
  throw new Error(`expected "${statement}" to fail`);
};

const rollBack: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  const kept = changes.newRows(table, 200);
  const gone = rows(table.next, 300 + changes.random.below(2000));
  return changes.on(
    table,
    `BEGIN; SAVEPOINT here; INSERT INTO ${table.name} (${ROW_COLUMNS}) ${gone}; ROLLBACK TO here;
     INSERT INTO ${table.name} (${ROW_COLUMNS}) ${kept}; ${changes.random.pick(['COMMIT', 'COMMIT', 'ROLLBACK'])}`,
  );
};

const update: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  const set = changes.random.pick([
    "body = left(body || 'y', 4000)",
    'body = reverse(body)',
    "code = code + 1, words = words || 'w3'::text, path = md5(path), place = point(place[0] + 1, place[1])",
    'day = day + 1',
  ]);
  return changes.on(table, `UPDATE ${table.name} SET ${set} WHERE ${someRows(changes, table)}`);
};

const remove: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  return changes.on(table, `DELETE FROM ${table.name} WHERE ${someRows(changes, table)}`);
};

const vacuum: Change = async (changes) => {
  const table = changes.table();
  if (table === null) return null;
  const { random } = changes;
  const how = random.pick([
    '',
    '(FREEZE)',
    '(TRUNCATE false)',
    '(INDEX_CLEANUP off)',
    '(ANALYZE)',
    '(INDEX_CLEANUP on)',
  ]);
  return changes.on(table, `VACUUM ${how} ${random.pick(table.leaves)}`);
};

/**
 * The file gets shorter, and then longer again, with or without rows that stay. A copy adds more pages to a file than it fills; no record in the WAL
 * names those.
 */
const truncateAndRegrow: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  const leaf = changes.random.pick(table.leaves);
  const firstCut = `(SELECT pg_relation_size('${leaf}') / 8192 * ${changes.random.below(60)} / 100)`;
  const words = await changes.on(
    table,
    `DELETE FROM ${leaf} WHERE (ctid::text::point)[0] >= ${firstCut}`,
    `VACUUM (TRUNCATE) ${leaf}`,
  );
  if (changes.chance(3)) await copyInto(changes, table, 'ROLLBACK');
  if (changes.chance(3)) return words;
  return `${words}; ${await copyInto(changes, table, 'COMMIT')}`;
};

async function copyInto(changes: RandomChanges, table: Table, end: 'COMMIT' | 'ROLLBACK'): Promise<string> {
  const file = changes.newFile();
  await changes.query(table.database, `COPY (${changes.newRows(table, 1500)}) TO '${file}'`);
  return changes.on(table, `BEGIN; COPY ${table.name} (${ROW_COLUMNS}) FROM '${file}'; ${end}`);
}

const rewrite: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  return changes.on(table, `VACUUM (FULL) ${changes.random.pick(table.leaves)}`);
};

const cluster: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null || table.leaves.length > 1 || !table.indexes.has('btree')) return null;
  return changes.on(table, `CLUSTER ${table.name} USING ${table.name}_btree`);
};

const reindex: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  return changes.on(table, `REINDEX TABLE ${changes.chance(3) ? 'CONCURRENTLY ' : ''}${table.name}`);
};

const truncate: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  const sql = `TRUNCATE ${changes.random.pick(table.leaves)}`;
  return changes.on(table, changes.chance(4) ? `BEGIN; ${sql}; ROLLBACK` : sql);
};

const createTable: Change = async (changes) => {
  if (changes.tables.length >= TABLES_MAX) return null;
  const { random } = changes;
  const name = changes.newName('t');
  const isPartitioned = changes.chance(5);
  const table: Table = {
    ...{
      database: random.pick(changes.databases),
      name,
      leaves: [name],
      indexes: new Set(),
      pins: 0,
      next: 1,
      added: 0,
    },
    isLogged: isPartitioned || !changes.chance(6),
  };
  const spaces = () => ` TABLESPACE ${random.pick(changes.tablespaces)}`;
  const statements: string[] = [];
  if (isPartitioned) {
    table.leaves = ['one', 'two', 'rest'].map((part) => `${name}_${part}`);
    const bounds = ['FOR VALUES FROM (MINVALUE) TO (900)', 'FOR VALUES FROM (900) TO (2000)', 'DEFAULT'];
    statements.push(
      `CREATE TABLE ${name} (${COLUMNS}) PARTITION BY RANGE (n)`,
      ...table.leaves.map((leaf, i) => `CREATE TABLE ${leaf} PARTITION OF ${name} ${bounds[i]}${spaces()}`),
    );
  } else {
    const fill = changes.chance(3) ? ' WITH (fillfactor = 70)' : '';
    statements.push(`CREATE ${table.isLogged ? '' : 'UNLOGGED '}TABLE ${name} (${COLUMNS})${fill}${spaces()}`);
    if (changes.chance(2)) statements.push(`ALTER TABLE ${name} ALTER body SET STORAGE EXTERNAL`);
  }
  for (const kind of INDEX_KINDS.filter(() => changes.chance(2))) {
    table.indexes.add(kind);
    statements.push(`CREATE INDEX ${name}_${kind} ON ${name} USING ${INDEXES[kind]}`);
  }
  statements.push(`INSERT INTO ${name} (${ROW_COLUMNS}) ${changes.newRows(table, 3000)}`);
  // At once, or made and filled in one transaction, in which the server need not log what the file is made of.
  const words = changes.chance(2)
    ? await changes.on(table, ...statements)
    : await changes.on(table, `BEGIN; ${statements.join('; ')}; COMMIT`);
  changes.tables.push(table);
  return words;
};

const dropTable: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null || changes.tables.length < 4) return null;
  if (table.leaves.length > 2 && changes.chance(2)) {
    const [leaf] = table.leaves;
    const words = await changes.on(table, `DROP TABLE ${leaf}`);
    table.leaves = table.leaves.slice(1);
    return words;
  }
  const words = await changes.on(table, `DROP TABLE ${table.name}`);
  changes.tables.splice(changes.tables.indexOf(table), 1);
  return words;
};

const createOrDropIndex: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  const kind = changes.random.pick(INDEX_KINDS);
  if (table.indexes.delete(kind)) return changes.on(table, `DROP INDEX ${table.name}_${kind}`);
  table.indexes.add(kind);
  const concurrently = table.leaves.length === 1 && changes.chance(3) ? 'CONCURRENTLY ' : '';
  return changes.on(table, `CREATE INDEX ${concurrently}${table.name}_${kind} ON ${table.name} USING ${INDEXES[kind]}`);
};

const moveTable: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  const space = changes.random.pick(changes.tablespaces);
  const kind = changes.random.pick(INDEX_KINDS);
  if (table.leaves.length === 1 && table.indexes.has(kind) && changes.chance(3)) {
    return changes.on(table, `ALTER INDEX ${table.name}_${kind} SET TABLESPACE ${space}`);
  }
  return changes.on(table, `ALTER TABLE ${changes.random.pick(table.leaves)} SET TABLESPACE ${space}`);
};

const alterTable: Change = async (changes) => {
  const table = changes.table({ free: true });
  if (table === null) return null;
  const { random } = changes;
  if (table.leaves.length === 1 && changes.chance(3)) {
    table.isLogged = !table.isLogged;
    return changes.on(table, `ALTER TABLE ${table.name} SET ${table.isLogged ? 'LOGGED' : 'UNLOGGED'}`);
  }
  table.added += 1;
  const column = `more_${table.added}`;
  const define = random.pick(['int DEFAULT 7', 'text DEFAULT md5(random()::text)', 'int']);
  const words = await changes.on(table, `ALTER TABLE ${table.name} ADD ${column} ${define}`);
  return changes.chance(2) ? `${words}; ${await changes.on(table, `ALTER TABLE ${table.name} DROP ${column}`)}` : words;
};

const largeObject: Change = async (changes) => {
  const { random, largeObjects } = changes;
  if (largeObjects.length < 3 || changes.chance(4)) {
    const oid = 9_000_000 + largeObjects.length + changes.done.length * 10;
    largeObjects.push(oid);
    await changes.query(
      'postgres',
      `SELECT lo_from_bytea(${oid}, decode(repeat(md5('${oid}'), ${1 + random.below(4000)}), 'hex'))`,
    );
    return `made ${oid}`;
  }
  const at = random.below(largeObjects.length);
  const oid = largeObjects[at]!;
  if (changes.chance(4)) {
    largeObjects.splice(at, 1);
    await changes.query('postgres', `SELECT lo_unlink(${oid})`);
    return `removed ${oid}`;
  }
  await changes.query(
    'postgres',
    `SELECT lo_put(${oid}, ${random.below(90_000)}, convert_to(repeat('other', ${random.below(2000)}), 'UTF8'))`,
  );
  return `wrote into ${oid}`;
};

const useSequence: Change = async (changes) => {
  const { sequences, random } = changes;
  if (sequences.length < 2) {
    const name = changes.newName('s');
    await changes.query('postgres', `CREATE SEQUENCE ${name}`);
    sequences.push(name);
    return `made ${name}`;
  }
  const name = random.pick(sequences);
  const sql = random.pick([
    `SELECT nextval('${name}') FROM generate_series(1, ${1 + random.below(100)})`,
    `SELECT setval('${name}', ${1 + random.below(100_000)})`,
    `ALTER SEQUENCE ${name} RESTART`,
  ]);
  await changes.query('postgres', sql);
  return sql;
};

const prepareTransaction: Change = async (changes) => {
  if (changes.prepared.length >= PREPARED_MAX) return null;
  const found = changes.tables.filter(({ database, isLogged }) => database === 'postgres' && isLogged);
  if (found.length === 0) return null;
  const table = changes.random.pick(found);
  const name = changes.newName('waiting');
  const words = await changes.on(
    table,
    `BEGIN; INSERT INTO ${table.name} (${ROW_COLUMNS}) ${changes.newRows(table, 300)}; PREPARE TRANSACTION '${name}'`,
  );
  table.pins += 1;
  changes.prepared.push({ name, table });
  return words;
};

const endPrepared: Change = async (changes) => {
  const [first] = changes.prepared;
  if (first === undefined) return null;
  changes.prepared.shift();
  first.table.pins -= 1;
  const end = changes.random.pick(['COMMIT', 'ROLLBACK']);
  await changes.query('postgres', `${end} PREPARED '${first.name}'`);
  return `${end} ${first.name}`;
};

/** A session with a table that nobody else sees, and which it writes to as long as it lives. */
const temporaryTable: Change = async (changes) => {
  const [oldest] = changes.sessions;
  if (oldest !== undefined && (changes.sessions.length >= SESSIONS_MAX || changes.chance(2))) {
    changes.sessions.shift();
    await oldest.end();
    return 'a session ends';
  }
  const session = new pg.Client({ connectionString: changes.server.url });
  // It ends with the server when that one crashes.
  session.on('error', () => {});
  await session.connect();
  changes.sessions.push(session);
  await session.query(`CREATE TEMPORARY TABLE passing AS ${rows(1, 2000)}; CREATE INDEX ON passing (n)`);
  return 'a session with a table of its own';
};

const createTablespace: Change = async (changes) => {
  if (changes.tablespaces.length >= TABLESPACES_MAX) return null;
  const name = changes.newName('space');
  const path = join(changes.directory, name);
  await mkdir(path);
  await giveToServerUser(path);
  await changes.query('postgres', `CREATE TABLESPACE ${name} LOCATION '${path}'`);
  changes.tablespaces.push(name);
  return name;
};

const createDatabase: Change = async (changes) => {
  if (changes.databases.length >= DATABASES_MAX) return null;
  const { random } = changes;
  const name = changes.newName('d');
  // Sessions, and transactions that wait, are in the first one alone.
  const template = random.pick(['template0', ...changes.databases.slice(1)]);
  const strategy = random.pick(['wal_log', 'file_copy']);
  const space = random.pick(['pg_default', random.pick(changes.tablespaces)]);
  const placed = template === 'template0' ? ` TABLESPACE ${space}` : '';
  const sql = `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY ${strategy}${placed}`;
  await changes.query('postgres', sql);
  changes.databases.push(name);
  for (const table of changes.tables.filter(({ database }) => database === template)) {
    changes.tables.push({ ...table, database: name, leaves: [...table.leaves], indexes: new Set(table.indexes) });
  }
  return sql;
};

const dropDatabase: Change = async (changes) => {
  if (changes.databases.length < 3) return null;
  const name = changes.random.pick(changes.databases.slice(1));
  await changes.query('postgres', `DROP DATABASE ${name} WITH (FORCE)`);
  changes.databases.splice(changes.databases.indexOf(name), 1);
  const left = changes.tables.filter(({ database }) => database !== name);
  changes.tables.splice(0, changes.tables.length, ...left);
  return name;
};

const checkpoint: Change = async (changes) => {
  const sql = changes.random.pick(['CHECKPOINT', 'SELECT pg_switch_wal()']);
  await changes.query('postgres', sql);
  return sql;
};

/** Shares of each in what is drawn, and the change itself. */
const CHANGES: Readonly<Record<string, readonly [share: number, change: Change]>> = {
  insert: [10, insert],
  'insert large values': [4, insertLargeValues],
  copy: [5, copy],
  'copy that fails': [4, copyThatFails],
  'roll back': [3, rollBack],
  update: [10, update],
  delete: [7, remove],
  vacuum: [8, vacuum],
  'truncate and regrow': [8, truncateAndRegrow],
  'vacuum full': [3, rewrite],
  cluster: [3, cluster],
  reindex: [3, reindex],
  truncate: [3, truncate],
  'create table': [6, createTable],
  'drop table': [3, dropTable],
  'create or drop index': [4, createOrDropIndex],
  'move table': [4, moveTable],
  'alter table': [3, alterTable],
  'large object': [4, largeObject],
  sequence: [3, useSequence],
  'prepare transaction': [3, prepareTransaction],
  'end prepared transaction': [3, endPrepared],
  'temporary table': [2, temporaryTable],
  'create tablespace': [1, createTablespace],
  'create database': [2, createDatabase],
  'drop database': [2, dropDatabase],
  checkpoint: [3, checkpoint],
};

const DRAWS = Object.entries(CHANGES).flatMap(([name, [share]]) => Array.from({ length: share }, () => name));
