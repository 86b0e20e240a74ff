import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { codeOf, silentProgress, systemClock } from '../../../src/lib/index.ts';
import { formatLsn, parseLsn } from '../../../src/postgres/index.ts';
import { runBackup } from '../../../src/protect/backup/index.ts';
import { readWalInventory } from '../../../src/protect/wal/index.ts';
import { giveToServerUser } from '../plain-backup.ts';
import type { PostgresMajor } from '../postgres-binaries.ts';
import { type PostgresServer, startPostgres } from '../postgres-server.ts';
import { untilOpen } from '../protected-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../repository.ts';
import { makeScratchDirectory } from '../scratch.ts';
import { type Random, seededRandom } from '../seeded-random.ts';
import { startStandby, untilReplayed } from '../standby-server.ts';
import { flushLsnOf, type ReceiverProcess, startReceiverProcess } from '../wal-receiver.ts';
import { judgeRecords, listRecordStarts } from './judge.ts';
import { type ClusterState, emptyDatabase, foldRecords, type JudgedRecord, type Transaction } from './model.ts';
import { endPrepared, maintain, type SessionContext, TABLESPACE, writeTransaction } from './session.ts';

/** One history of the cluster, as far as it went. */
export interface Branch {
  /** Of a history that was left at a promotion; null for the one that is the cluster's now. */
  readonly lineage: string | null;
  readonly records: readonly JudgedRecord[];
  /** Where every record begins. */
  readonly starts: readonly bigint[];
  readonly points: readonly RestorePoint[];
  readonly end: bigint;
}

/** A restore point, and where its record ends. */
export interface RestorePoint {
  readonly name: string;
  readonly endLsn: bigint;
}

/** What happened to a server that was protected all the while, and what must be found when it is restored. */
export interface History {
  readonly place: TestRepository;
  readonly scratch: string;
  readonly binDirectory: string;
  readonly branches: readonly Branch[];
  /** What befell the server, in words. */
  readonly incidents: readonly string[];
  dispose(): Promise<void>;
}

/** Something that happens once in a round. */
type Incident = 'backup' | 'server-crash' | 'receiver-crash' | 'promotion' | 'promotion-with-loss' | 'new-database';

/** The first round begins with a backup, so that every later moment can be reached. */
const FIRST_ROUND: readonly Incident[] = ['backup'];
const LATER_ROUNDS: readonly (readonly Incident[])[] = [
  ['receiver-crash', 'new-database'],
  ['server-crash'],
  ['promotion', 'backup'],
  ['promotion-with-loss', 'receiver-crash'],
  ['backup'],
];
/** Nobody writes to it; a database is made from it later. */
const MOULD = 'mould';
const SESSIONS_PER_DATABASE = 2;
const SETTLE_MS_MAX = 60_000;

/** Makes a history: servers, writers, backups and receivers, and a few incidents in an order that the seed decides. */
export async function makeHistory(options: {
  seed: number;
  major: PostgresMajor;
  /** Of each round; there are six. */
  transactions: number;
}): Promise<History> {
  const maker = await HistoryMaker.begin(options);
  try {
    await maker.writeRounds();
    return await maker.end();
  } catch (error) {
    await maker.dispose();
    throw error;
  }
}

interface MakerParts {
  readonly scratch: string;
  readonly random: Random;
  readonly place: TestRepository;
  readonly server: PostgresServer;
  readonly transactions: number;
  readonly laterRounds: readonly (readonly Incident[])[];
}

class HistoryMaker {
  readonly #stack = new AsyncDisposableStack();
  readonly #scratch: string;
  readonly #random: Random;
  readonly #place: TestRepository;
  readonly #transactionsPerRound: number;
  readonly #laterRounds: readonly (readonly Incident[])[];
  readonly #branches: Branch[] = [];
  readonly #incidents: string[] = [];
  #server: PostgresServer;
  #receiver: ReceiverProcess | undefined;
  #records: JudgedRecord[] = [];
  #starts: bigint[] = [];
  #points: RestorePoint[] = [];
  /** Up to here the WAL was judged. */
  #judged = 0n;
  /** Those that may end in the WAL that is judged next, by number: after a crash and after a promotion a number may be given again. */
  #transactions = new Map<number, Transaction>();
  #databases = ['postgres', 'second'];
  #lastNumber = 0;
  #standbys = 0;

  private constructor(parts: MakerParts) {
    this.#scratch = parts.scratch;
    this.#random = parts.random;
    this.#place = parts.place;
    this.#server = parts.server;
    this.#transactionsPerRound = parts.transactions;
    this.#laterRounds = parts.laterRounds;
  }

  static async begin({ seed, major, transactions }: { seed: number; major: PostgresMajor; transactions: number }) {
    const scratch = await makeScratchDirectory(`history-${major}`);
    const random = seededRandom(seed);
    const server = await startPostgres({
      major,
      walSegmentSizeMb: random.pick([1, 1, 4, 16]),
      settings: {
        max_prepared_transactions: '60',
        max_connections: '60',
        wal_keep_size: '4GB', // The judge reads all of it in the end.
        max_wal_size: '80MB',
        wal_level: random.pick(['replica', 'logical']),
        wal_compression: random.pick(['off', 'on']),
        autovacuum_naptime: '1s',
      },
    });
    const place = await makeRepository(scratch);
    // Drawn before the writers draw, who take their turns as the server lets them.
    const laterRounds = shuffle(LATER_ROUNDS, random);
    const maker = new HistoryMaker({ scratch, random, place, server, transactions, laterRounds });
    maker.#stack.defer(() => rm(scratch, { recursive: true, force: true }));
    maker.#stack.defer(() => place.repository.close());
    maker.#stack.defer(() => server.dispose());
    maker.#stack.defer(() => maker.#receiver?.kill9());
    try {
      await maker.#prepare();
    } catch (error) {
      await maker.dispose();
      throw error;
    }
    return maker;
  }

  dispose(): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #prepare(): Promise<void> {
    await this.#server.query('CREATE EXTENSION pg_walinspect');
    const tablespace = join(this.#scratch, TABLESPACE);
    await mkdir(tablespace);
    await giveToServerUser(tablespace);
    await this.#server.query(`CREATE TABLESPACE ${TABLESPACE} LOCATION '${tablespace}'`);
    for (const name of ['second', MOULD]) await this.#server.query(`CREATE DATABASE ${name}`);
    for (const name of this.#databases) await this.#server.query(tablesOfDatabase(name), name);
    await this.#server.query(tablesOfDatabase('third'), MOULD);
    // All that was done so far is behind the first backup, and stands in the model from the beginning.
    const beginning: Transaction = {
      xid: 0,
      database: 'postgres',
      effects: [...this.#databases, MOULD].map(makeDatabase),
    };
    this.#records.push({ lsn: 0n, at: 0n, kind: 'commit', xid: 0, transaction: beginning });
    this.#judged = await flushWholeRecords(this.#server);
    await this.#startReceiver();
  }

  async writeRounds(): Promise<void> {
    await this.#writeRound(FIRST_ROUND);
    for (const incidents of this.#laterRounds) await this.#writeRound(incidents);
  }

  async end(): Promise<History> {
    await this.#settle();
    await this.#receiver?.kill9();
    const { binDirectory } = this.#server;
    await this.#server.stop('fast');
    this.#branches.push(this.#branch(null));
    return {
      place: this.#place,
      scratch: this.#scratch,
      binDirectory,
      branches: this.#branches.toReversed(),
      incidents: this.#incidents,
      dispose: () => this.dispose(),
    };
  }

  #branch(lineage: string | null): Branch {
    return { lineage, records: this.#records, starts: this.#starts, points: this.#points, end: this.#judged };
  }

  async #writeRound(incidents: readonly Incident[]): Promise<void> {
    this.#incidents.push(incidents.join(' and '));
    this.#transactions = new Map();
    const promotes = incidents.includes('promotion') || incidents.includes('promotion-with-loss');
    const standby = promotes ? await this.#makeStandby() : undefined;
    const crashes = incidents.includes('server-crash');
    const remaining = { transactions: this.#transactionsPerRound };
    const half = this.#transactionsPerRound / 2;
    const untilHalf = async () => {
      while (remaining.transactions > half) await systemClock.sleep(5);
    };
    await Promise.all([
      this.#write(remaining, crashes),
      incidents.includes('backup') ? this.#backUp() : undefined,
      incidents.includes('new-database') ? this.#createDatabase() : undefined,
      crashes ? untilHalf().then(() => this.#server.kill9()) : undefined,
      incidents.includes('receiver-crash') ? untilHalf().then(() => this.#restartReceiver()) : undefined,
      incidents.includes('promotion-with-loss') ? untilHalf().then(() => cutOff(standby!)) : undefined,
    ]);
    if (crashes) await this.#restartServer();
    await this.#judge(await flushWholeRecords(this.#server));
    if (standby !== undefined) await this.#promote(standby, incidents.includes('promotion'));
  }

  /** Several writers at once in each database, until so many transactions were written or the server has crashed. */
  async #write(remaining: { transactions: number }, crashes: boolean): Promise<void> {
    const writers = this.#databases.flatMap((database) =>
      Array.from({ length: SESSIONS_PER_DATABASE }, (_, number) => ({ database, name: `${database[0]}${number}` })),
    );
    const waiting = await this.#listPrepared();
    const outcomes = await Promise.allSettled(
      writers.map(({ database, name }) => {
        const context: SessionContext = {
          ...{ random: this.#random, name, database, waiting: waiting.get(database)! },
          begun: (transaction) => void this.#transactions.set(transaction.xid, transaction),
          named: (point, lsn) => void this.#points.push({ name: point, endLsn: parseLsn(lsn) }),
          nextNumber: () => ++this.#lastNumber,
        };
        return this.#writeIn(context, foldRecords(this.#records).cluster, remaining);
      }),
    );
    remaining.transactions = 0;
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    // A writer whose server is killed does not know what became of its last transaction; the WAL does.
    if (failed !== undefined && !crashes) throw failed.reason;
  }

  async #writeIn(context: SessionContext, state: ClusterState, remaining: { transactions: number }): Promise<void> {
    const { socketDirectory: host, port, user, password } = this.#server;
    const client = new pg.Client({ host, port, user, password, database: context.database });
    client.on('error', () => {}); // The query that is under way is rejected with it.
    await client.connect();
    try {
      while (remaining.transactions > 0) {
        remaining.transactions -= 1;
        await writeTransaction(client, context, state);
        if (context.random.below(4) === 0) await endPrepared(client, context);
        if (context.random.below(6) > 0) continue;
        // Maintenance may wait for a prepared transaction that nobody ends meanwhile. Who writes only waits for maintenance.
        await client.query("SET lock_timeout = '300ms'");
        await maintain(client, context, state).catch(ignoreOtherWriters);
        await client.query('SET lock_timeout = 0');
      }
    } finally {
      await client.end().catch(() => {}); // The server may be gone.
    }
  }

  async #listPrepared(): Promise<Map<string, string[]>> {
    const waiting = new Map(this.#databases.map((name): [string, string[]] => [name, []]));
    const rows = await this.#server.query<{ gid: string; database: string }>(
      'SELECT gid, database FROM pg_prepared_xacts ORDER BY prepared',
    );
    for (const { gid, database } of rows) waiting.get(database)?.push(gid);
    return waiting;
  }

  async #createDatabase(): Promise<void> {
    const strategy = this.#random.pick(['wal_log', 'file_copy']);
    await this.#server.query(`CREATE DATABASE third TEMPLATE ${MOULD} STRATEGY ${strategy}`);
    const [row] = await this.#server.query<{ xid: string }>(
      "SELECT xmin::text AS xid FROM pg_database WHERE datname = 'third'",
    );
    const xid = Number(row!.xid);
    this.#transactions.set(xid, { xid, database: 'postgres', effects: [makeDatabase('third')] });
    this.#databases.push('third');
  }

  async #backUp(): Promise<void> {
    const { repository, stateDirectory } = this.#place;
    const common = { repository, stateDirectory, clock: systemClock, progress: silentProgress };
    const take = () =>
      runBackup({ ...common, source: targetOf(this.#server.backupSocketUrl), cluster: 'main', checkpoint: 'fast' });
    // Right after a promotion the receiver may still be on its way to the new lineage: the error says to take the backup again.
    await take().catch((error: unknown) => {
      if (codeOf(error) !== 'BACKUP_WAL_FORKED') throw error;
      return take();
    });
  }

  async #startReceiver(): Promise<void> {
    const { path: repositoryPath, stateDirectory } = this.#place;
    this.#receiver = startReceiverProcess({ repositoryPath, stateDirectory, url: this.#server.backupSocketUrl });
  }

  async #restartReceiver(): Promise<void> {
    await this.#receiver?.kill9();
    await this.#startReceiver();
  }

  /** Settled when all that the server has flushed is durable in the repository. */
  async #settle(): Promise<void> {
    const lsn = await flushLsnOf(this.#server);
    const deadline = systemClock.monotonic() + SETTLE_MS_MAX;
    while (this.#receiver!.flushReported < lsn) {
      if (systemClock.monotonic() > deadline) {
        throw new Error(`the receiver did not come to ${formatLsn(lsn)}\n${this.#receiver!.describe()}`);
      }
      await systemClock.sleep(20);
    }
  }

  async #restartServer(): Promise<void> {
    await this.#server.restart();
    // The checkpoint that ends the recovery: all that the writers did stands before it.
    const [row] = await this.#server.query<{ lsn: string }>(
      'SELECT checkpoint_lsn AS lsn FROM pg_control_checkpoint()',
    );
    await this.#judge(parseLsn(row!.lsn));
    this.#transactions = new Map();
  }

  /** Reads what became of the transactions in the WAL up to a position. */
  async #judge(to: bigint): Promise<void> {
    const range = { from: this.#judged, to };
    const records = await judgeRecords(this.#server, range, (xid) => this.#find(xid));
    this.#records = [...this.#records, ...records];
    this.#starts = [...this.#starts, ...(await listRecordStarts(this.#server, range))];
    this.#judged = range.to;
  }

  /** Of this round, or prepared in an earlier one of this history. */
  #find(xid: number): Transaction | null {
    const prepared = this.#records.findLast((record) => record.kind === 'prepare' && record.xid === xid);
    return this.#transactions.get(xid) ?? prepared?.transaction ?? null;
  }

  async #makeStandby(): Promise<PostgresServer> {
    this.#standbys += 1;
    const directory = join(this.#scratch, `standby-${this.#standbys}`);
    const standby = await startStandby(this.#server, directory, { wal_keep_size: '4GB' });
    this.#stack.defer(() => standby.dispose());
    await untilOpen(standby);
    return standby;
  }

  /**
   * The standby takes over. One that was cut off from its primary knows less than the repository: what the primary wrote after that is on a
   * history of its own then.
   */
  async #promote(standby: PostgresServer, isUpToDate: boolean): Promise<void> {
    await this.#settle();
    const { lineages } = await readWalInventory(this.#place.repository);
    const parents = new Set(lineages.map(({ header }) => header.parent?.lineage));
    const current = lineages.find(({ lineage }) => !parents.has(lineage))!;
    const left = this.#branch(current.lineage);
    if (isUpToDate) await untilReplayed(this.#server, standby);
    await this.#receiver!.kill9();
    await this.#server.dispose();
    await standby.query('SELECT pg_promote()');
    const fork = await readFork(standby);
    if (fork < left.end && left.records.some(({ lsn, transaction }) => lsn >= fork && transaction !== null)) {
      this.#branches.push(left);
    }
    this.#records = left.records.filter(({ lsn }) => lsn < fork);
    this.#starts = left.starts.filter((lsn) => lsn < fork);
    this.#points = left.points.filter(({ endLsn }) => endLsn <= fork);
    this.#judged = fork;
    this.#server = standby;
    // None of them goes on behind the fork, where their numbers may be given to others.
    this.#transactions = new Map();
    await this.#judge(await flushWholeRecords(standby));
    this.#databases = [...foldRecords(this.#records).cluster.databases.keys()].filter((name) => name !== MOULD);
    await this.#startReceiver();
  }
}

/**
 * Flushes all that was committed, and gives where a record ends behind it. What the server has flushed by itself may lack the last commits
 * that did not wait for it, and end in the middle of a record, which no range of whole records would have then.
 */
async function flushWholeRecords(server: PostgresServer): Promise<bigint> {
  const [row] = await server.query<{ lsn: string }>("SELECT pg_logical_emit_message(true, 'judged', '')::text AS lsn");
  return parseLsn(row!.lsn);
}

/** A standby that only loses its connection stays open; one that is started again may wait for the primary before it opens. */
async function cutOff(standby: PostgresServer): Promise<void> {
  await standby.query("ALTER SYSTEM SET primary_conninfo = ''");
  await standby.query('SELECT pg_reload_conf()');
}

/** Where the newest timeline of a server began. */
async function readFork(server: PostgresServer): Promise<bigint> {
  const directory = join(server.dataDirectory, 'pg_wal');
  const names = (await readdir(directory)).filter((name) => name.endsWith('.history')).sort();
  const lines = (await readFile(join(directory, names.at(-1)!), 'utf8')).trim().split('\n');
  return parseLsn(lines.at(-1)!.split('\t')[1]!);
}

function tablesOfDatabase(name: string): string {
  const sequences = Array.from(
    { length: SESSIONS_PER_DATABASE },
    (_, number) => `CREATE SEQUENCE number_${name[0]}${number};`,
  );
  return `CREATE TABLE history (id int PRIMARY KEY, v text); ${sequences.join(' ')}`;
}

function makeDatabase(name: string): (cluster: ClusterState) => void {
  return ({ databases }) => {
    databases.set(name, emptyDatabase());
    databases.get(name)!.tables.set('history', { columns: ['id', 'v'], rows: new Map() });
  };
}

/**
 * Whoever waits for a prepared transaction would wait for ever. And two writers that maintain the table that all share may come to the same
 * row of the catalog, which one of them is told as an internal error: what it was at is undone.
 */
function ignoreOtherWriters(error: { code?: string; message?: string }): void {
  const deadlockOrTimeout = ['55P03', '40P01'];
  const sameRow = error.code === 'XX000' && /^tuple concurrently (updated|deleted)$/.test(error.message ?? '');
  if (!sameRow && !deadlockOrTimeout.includes(error.code ?? '')) throw error;
}

function shuffle<T>(things: readonly T[], random: Random): T[] {
  const rest = [...things];
  return things.map(() => rest.splice(random.below(rest.length), 1)[0]!);
}
