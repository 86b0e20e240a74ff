import type pg from 'pg';
import type { Random } from '../seeded-random.ts';
import type { ClusterState, DatabaseState, Effect, TableState, Transaction } from './model.ts';

/** What a writer shares with the others and with the history. */
export interface SessionContext {
  readonly random: Random;
  /** Begins with a letter and is the beginning of the names of all that only this writer touches. */
  readonly name: string;
  readonly database: string;
  /** Told of each transaction before it can be committed. */
  readonly begun: (transaction: Transaction) => void;
  readonly named: (restorePoint: string, endLsn: string) => void;
  /** Never the same number twice. */
  readonly nextNumber: () => number;
  /** Prepared transactions of this database that wait for whoever comes by. */
  readonly waiting: string[];
}

/** A value long enough that hundreds of them fill pages; some are stored apart. */
const VALUE_REPEATS = [1, 1, 1, 3, 600];
const TABLES_MAX = 5;
/** Some tables lie there, for a while or always. */
export const TABLESPACE = 'apart';
/** Beyond 64 the server no longer keeps the numbers of subtransactions in shared memory. */
const SUBTRANSACTIONS_MANY = 70;

/**
 * Writes one transaction: a marker row into `history`, which all writers share, and a few changes of what only this writer touches, so that
 * the effects of concurrent transactions do not depend on their order. `state` is what this writer sees; it is changed when the commit is
 * acknowledged.
 */
export async function writeTransaction(client: pg.Client, context: SessionContext, state: ClusterState): Promise<void> {
  const { random, database } = context;
  await client.query('BEGIN');
  const { rows } = await client.query<{ xid: string }>('SELECT pg_current_xact_id()::xid::text AS xid');
  const transaction: Transaction = { xid: Number(rows[0]!.xid), database, effects: [] };
  context.begun(transaction);
  const work = new Work(client, context, transaction, state);
  const n = context.nextNumber();
  await work.insert('history', [n], 'marker');
  const ending = random.below(12);
  // A prepared one may be committed after this writer has changed its tables otherwise.
  if (ending === 1) await work.createLargeObject();
  else for (let steps = random.below(4); steps > 0; steps--) await work.takeStep();
  if (ending === 0) return void (await client.query('ROLLBACK'));
  if (ending === 1) {
    transaction.gid = `${context.name} ${n}`;
    await client.query(`PREPARE TRANSACTION '${transaction.gid}'`);
    context.waiting.push(transaction.gid);
    return;
  }
  await client.query('COMMIT');
  for (const effect of transaction.effects) effect(state);
}

/** Ends a prepared transaction that waits. */
export async function endPrepared(client: pg.Client, { random, waiting }: SessionContext): Promise<void> {
  const gid = waiting.shift();
  if (gid !== undefined) await client.query(`${random.below(5) === 0 ? 'ROLLBACK' : 'COMMIT'} PREPARED '${gid}'`);
}

/** What changes no content, but files, pages and the shape of the WAL. */
export async function maintain(client: pg.Client, context: SessionContext, state: ClusterState): Promise<void> {
  const { random, name } = context;
  const table = random.pick([...tablesOf(state, context).keys(), 'history']);
  switch (random.below(9)) {
    case 0:
      return void (await client.query(`VACUUM ${random.pick(['', 'FULL', 'FREEZE'])} ${table}`));
    case 1:
      return void (await client.query(`CREATE INDEX CONCURRENTLY ON ${table} (id)`));
    case 2:
      return void (await client.query(`REINDEX TABLE ${random.pick(['', 'CONCURRENTLY'])} ${table}`));
    case 3:
      return void (await client.query('CHECKPOINT'));
    case 4:
      return void (await client.query('SELECT pg_switch_wal()'));
    case 5: {
      const point = `${name} ${context.nextNumber()}`;
      const { rows } = await client.query<{ lsn: string }>(`SELECT pg_create_restore_point('${point}') AS lsn`);
      return context.named(point, rows[0]!.lsn);
    }
    case 6: // An asynchronous commit is in the WAL before it is durable.
      return void (await client.query(`SET synchronous_commit = ${random.pick(['off', 'on'])}`));
    case 7:
      return void (await client.query("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 30000))"));
    default:
      return void (await client.query(`ANALYZE ${table}`));
  }
}

function tablesOf(cluster: ClusterState, { database, name }: SessionContext): Map<string, TableState> {
  const tables = cluster.databases.get(database)!.tables;
  return new Map([...tables].filter(([table]) => table.startsWith(`${name}_`)));
}

/** The statements of one transaction. Each notes its effect; a savepoint that is rolled back forgets them again. */
class Work {
  readonly #client: pg.Client;
  readonly #context: SessionContext;
  readonly #transaction: Transaction;
  readonly #committed: ClusterState;

  constructor(client: pg.Client, context: SessionContext, transaction: Transaction, committed: ClusterState) {
    this.#client = client;
    this.#context = context;
    this.#transaction = transaction;
    this.#committed = committed;
  }

  async takeStep(): Promise<void> {
    const { random } = this.#context;
    if (random.below(4) > 0) return this.#change();
    const kept = this.#transaction.effects.length;
    await this.#client.query('SAVEPOINT here');
    await this.#change();
    if (random.below(8) === 0) await this.#manySubtransactions();
    if (random.below(2) === 0) return void (await this.#client.query('RELEASE SAVEPOINT here'));
    await this.#client.query('ROLLBACK TO SAVEPOINT here');
    this.#transaction.effects.length = kept;
  }

  async insert(table: string, ids: readonly number[], value: string): Promise<void> {
    await this.#client.query(`INSERT INTO ${table} (id, v) SELECT unnest($1::int[]), $2`, [ids, value]);
    this.#note((database) => putRows(database, table, ids, value));
  }

  async createLargeObject(): Promise<void> {
    const hex = this.#context.random.bytes(1 + this.#context.random.below(6000)).toString('hex');
    const oid = await this.#oidOf(`SELECT lo_from_bytea(0, decode('${hex}', 'hex'))::text AS oid`);
    this.#note(({ largeObjects }) => largeObjects.set(oid, hex));
  }

  async #change(): Promise<void> {
    const { random, name, nextNumber } = this.#context;
    const tables = tablesOf(this.#seen(), this.#context);
    const table = tables.size === 0 ? null : random.pick([...tables.keys()]);
    if (table === null || (tables.size < TABLES_MAX && random.below(4) === 0)) return this.#createTable();
    const kind = random.below(15);
    const [divisor, remainder] = [2 + random.below(4), random.below(2)];
    const value = `${nextNumber()}`.repeat(random.pick(VALUE_REPEATS));
    switch (kind) {
      case 0:
      case 1:
      case 2:
        return this.insert(table, Array.from({ length: 1 + random.below(120) }, nextNumber), value);
      case 3:
      case 4:
        await this.#client.query(`UPDATE ${table} SET v = $1 WHERE id % ${divisor} = ${remainder}`, [value]);
        return this.#note((database) =>
          changeRows(database, table, (rows) => {
            for (const id of rows.keys()) if (id % divisor === remainder) rows.set(id, value);
          }),
        );
      case 5:
        await this.#client.query(`DELETE FROM ${table} WHERE id % ${divisor} = ${remainder}`);
        return this.#note((database) =>
          changeRows(database, table, (rows) => {
            for (const id of [...rows.keys()]) if (id % divisor === remainder) rows.delete(id);
          }),
        );
      case 6:
        await this.#client.query(`TRUNCATE ${table}`);
        return this.#note((database) => changeRows(database, table, (rows) => rows.clear()));
      case 7:
        await this.#client.query(`DROP TABLE ${table}`);
        return this.#note(({ tables: there }) => there.delete(table));
      case 8: {
        const renamed = `${name}_${nextNumber()}`;
        await this.#client.query(`ALTER TABLE ${table} RENAME TO ${renamed}`);
        return this.#note(({ tables: there }) => {
          there.set(renamed, there.get(table)!);
          there.delete(table);
        });
      }
      case 9:
        return this.#addColumn(table);
      case 10:
        await this.#client.query(`CREATE INDEX ON ${table} (md5(v))`);
        return;
      case 11: {
        const { rows } = await this.#client.query<{ index: string }>(
          `SELECT indexrelid::regclass::text AS index FROM pg_index WHERE indrelid = '${table}'::regclass AND indisprimary`,
        );
        await this.#client.query(`CLUSTER ${table} USING ${rows[0]!.index}`);
        return;
      }
      case 12:
        return this.#changeLargeObject();
      case 13:
        await this.#client.query(`ALTER TABLE ${table} SET TABLESPACE ${random.pick([TABLESPACE, 'pg_default'])}`);
        return;
      default:
        return this.#takeNumber();
    }
  }

  async #createTable(): Promise<void> {
    const { random, name, nextNumber } = this.#context;
    const table = `${name}_${nextNumber()}`;
    const rows: [number, string][] = [];
    if (random.below(3) === 0) {
      rows.push([nextNumber(), 'made']);
      await this.#client.query(`CREATE TABLE ${table} AS SELECT ${rows[0]![0]} AS id, 'made'::text AS v`);
      await this.#client.query(`ALTER TABLE ${table} ADD PRIMARY KEY (id)`);
    } else {
      const place = random.below(3) === 0 ? `TABLESPACE ${TABLESPACE}` : '';
      await this.#client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, v text) ${place}`);
    }
    this.#note(({ tables }) => tables.set(table, { columns: ['id', 'v'], rows: new Map(rows) }));
  }

  async #addColumn(table: string): Promise<void> {
    const { random, nextNumber } = this.#context;
    const column = `c${nextNumber()}`;
    // A constant is noted in the catalog alone; what is not constant has the whole table written anew.
    const value = random.pick(['7', '(random() * 9)::int']);
    await this.#client.query(`ALTER TABLE ${table} ADD COLUMN ${column} int DEFAULT ${value}`);
    this.#note(({ tables }) => {
      const { columns, rows } = tables.get(table)!;
      tables.set(table, { columns: [...columns, column], rows });
    });
  }

  async #changeLargeObject(): Promise<void> {
    const { random } = this.#context;
    const mine = [...this.#seenDatabase().largeObjects.keys()].filter((oid) => this.#isMine(oid));
    if (mine.length < 3) return this.createLargeObject();
    const oid = random.pick(mine);
    await this.#client.query(`SELECT lo_unlink(${oid})`);
    this.#note(({ largeObjects }) => largeObjects.delete(oid));
  }

  /** Writers share the large objects of a database; each changes only some. One that a prepared transaction made is not seen here. */
  #isMine(oid: string): boolean {
    return (
      Number(oid) % 2 === this.#context.name.charCodeAt(this.#context.name.length - 1) % 2 && this.#isCommitted(oid)
    );
  }

  #isCommitted(oid: string): boolean {
    return this.#committed.databases.get(this.#context.database)!.largeObjects.has(oid);
  }

  async #takeNumber(): Promise<void> {
    const sequence = `number_${this.#context.name}`;
    const { rows } = await this.#client.query<{ n: string }>(`SELECT nextval('${sequence}') AS n`);
    const n = Number(rows[0]!.n);
    this.#note(({ sequences }) => sequences.set(sequence, Math.max(n, sequences.get(sequence) ?? 0)));
  }

  async #manySubtransactions(): Promise<void> {
    const ids = Array.from({ length: SUBTRANSACTIONS_MANY }, this.#context.nextNumber);
    for (const id of ids) {
      await this.#client.query(`SAVEPOINT many; INSERT INTO history VALUES (${id}, 'sub')`);
    }
    this.#note((database) => putRows(database, 'history', ids, 'sub'));
  }

  async #oidOf(sql: string): Promise<string> {
    const { rows } = await this.#client.query<{ oid: string }>(sql);
    return rows[0]!.oid;
  }

  #note(change: (database: DatabaseState) => unknown): void {
    const effect: Effect = (cluster) => void change(cluster.databases.get(this.#context.database)!);
    this.#transaction.effects.push(effect);
  }

  /** What this transaction sees of this writer's own things: the committed state with its own effects. */
  #seen(): ClusterState {
    const { database } = this.#context;
    const { largeObjects, sequences } = this.#committed.databases.get(database)!;
    const tables = new Map<string, TableState>([['history', { columns: [], rows: new Map() }]]);
    for (const [table, { columns, rows }] of tablesOf(this.#committed, this.#context)) {
      tables.set(table, { columns, rows: new Map(rows) });
    }
    const seen = { tables, largeObjects: new Map(largeObjects), sequences: new Map(sequences) };
    const cluster: ClusterState = { databases: new Map([[database, seen]]) };
    for (const effect of this.#transaction.effects) effect(cluster);
    return cluster;
  }

  #seenDatabase(): DatabaseState {
    return this.#seen().databases.get(this.#context.database)!;
  }
}

function changeRows(database: DatabaseState, table: string, change: (rows: Map<number, string>) => void): void {
  change(database.tables.get(table)!.rows);
}

function putRows(database: DatabaseState, table: string, ids: readonly number[], value: string): void {
  changeRows(database, table, (rows) => {
    for (const id of ids) rows.set(id, value);
  });
}
