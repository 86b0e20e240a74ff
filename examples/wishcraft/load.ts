import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connect } from './database.ts';
import { parseLsn } from './lsn.ts';
import { KnownRows, type PreparedWrite, readAnswer, traces, type WriteKind, writeKinds } from './writes.ts';

/** How much is written, and where. */
export interface LoadOptions {
  /** Asked anew for each connection, so that the load can follow the application to another database. */
  connectionString: () => string;
  /** 4 when not given. */
  connections?: number;
  /** Of all connections together; 100 when not given. A server that is slower gets fewer. */
  writesPerSecond?: number;
  /** Called with each acknowledged write, at once. */
  onAcknowledged?: (write: AcknowledgedWrite) => void;
}

/** A write that was begun. Times are of this process: monotonic milliseconds, and milliseconds since 1970. */
export interface StartedWrite {
  number: number;
  kind: WriteKind;
  /** A text that stands in the row together with the number, and in no other row. */
  evidence: string;
  connection: number;
  startedAtMonotonicMs: number;
}

/** A write whose commit the server has acknowledged. */
export interface AcknowledgedWrite extends StartedWrite {
  acknowledgedAtMonotonicMs: number;
  acknowledgedAtMs: number;
  transactionId: bigint;
  /** The commit record begins at or after this position. */
  walBeforeCommit: bigint;
  /** It ends at or before this one; `undefined` when the connection broke before that could be asked. */
  walAfterCommit: bigint | undefined;
}

/** A write that was sent and never answered: it may have been committed or not, and both is right. */
export interface UnknownWrite extends StartedWrite {
  reason: string;
}

/** What the load has seen up to now. */
export interface LoadReport {
  acknowledged: readonly AcknowledgedWrite[];
  /** Sent when the connection broke, or acknowledged by the server with a warning that it may not be durable. */
  unknown: readonly UnknownWrite[];
  /** Sent and not answered yet. */
  inFlight: readonly StartedWrite[];
  /** How often the server refused, by SQLSTATE; `no-row` counts writes that found nothing to change or to hang on. */
  rejected: ReadonlyMap<string, number>;
  /** How often a connection was made again after it had broken. */
  reconnects: number;
}

/** A load that can be started, stopped and started again; numbers go on where they were. */
export interface Load {
  /** Throws when the database cannot be reached; once the load runs, it bears every error. */
  start(): Promise<void>;
  /** Resolves when nothing is in flight any more. A write that is not answered within two seconds becomes unknown. */
  stop(): Promise<LoadReport>;
  report(): LoadReport;
}

const defaultConnections = 4;
const defaultWritesPerSecond = 100;
/** Between two attempts to connect: a server that starts is found soon, one that is down is not hammered. */
const reconnectDelayMs = 50;
/** How long a write in flight may take once the load is to stop. */
const stopTimeoutMs = 2_000;

/** Makes a load, without starting it. */
export function createLoad(options: LoadOptions): Load {
  const records = createRecords(options.onAcknowledged);
  let running: { abort: AbortController; workers: Promise<void>[] } | undefined;
  const connections = options.connections ?? defaultConnections;
  const intervalMs = (connections * 1_000) / (options.writesPerSecond ?? defaultWritesPerSecond);
  return {
    start: async () => {
      if (running !== undefined) throw new Error('cannot start a load that is running');
      const abort = new AbortController();
      running = { abort, workers: [] };
      try {
        await records.continueAfter(options.connectionString());
      } catch (error) {
        running = undefined;
        throw error;
      }
      for (let connection = 0; connection < connections; connection += 1) {
        const worker = runConnection({ connection, intervalMs, options, records, signal: abort.signal });
        running.workers.push(worker);
      }
    },
    stop: async () => {
      running?.abort.abort();
      await Promise.all(running?.workers ?? []);
      running = undefined;
      return records.report();
    },
    report: () => records.report(),
  };
}

interface ConnectionWork {
  connection: number;
  intervalMs: number;
  options: LoadOptions;
  records: Records;
  signal: AbortSignal;
}

/** Writes until it is told to stop, over as many connections, one after the other, as that takes. */
async function runConnection(work: ConnectionWork): Promise<void> {
  for (let attempt = 0; !work.signal.aborted; attempt += 1) {
    try {
      const client = await connect(work.options.connectionString());
      if (attempt > 0) work.records.countReconnect();
      await writeUntilBroken(client, work);
    } catch {
      // Connecting failed, or the first reads did: the server is away, and the load's part is to be there when it is back.
    }
    await pause(reconnectDelayMs, work.signal);
  }
}

async function writeUntilBroken(client: pg.Client, work: ConnectionWork): Promise<void> {
  if (work.signal.aborted) return await client.end();
  const warnings = new Warnings(client);
  // Ending a client in the middle of a query closes its socket, so that even a hung server cannot hold us.
  const onAbort = () => void sleep(stopTimeoutMs, undefined, { ref: false }).then(() => client.end());
  work.signal.addEventListener('abort', onAbort, { once: true });
  try {
    const known = new KnownRows();
    await known.read(client);
    // Connections take turns instead of writing all at the same moment.
    let dueMs =
      performance.now() + (work.intervalMs * work.connection) / (work.options.connections ?? defaultConnections);
    while (!work.signal.aborted) {
      await pause(dueMs - performance.now(), work.signal);
      if (work.signal.aborted) return;
      // Time lost is not made up for: a load after an interruption is as steady as before.
      dueMs = Math.max(dueMs, performance.now() - work.intervalMs) + work.intervalMs;
      if (!(await writeOnce(client, known, warnings, work))) return;
    }
  } finally {
    work.signal.removeEventListener('abort', onAbort);
    // A server that is stopped in its tracks does not answer the farewell either.
    await Promise.race([client.end(), sleep(stopTimeoutMs, undefined, { ref: false })]);
  }
}

/** Makes one write and records what became of it; `false` when the connection is of no use any more. */
async function writeOnce(
  client: pg.Client,
  known: KnownRows,
  warnings: Warnings,
  work: ConnectionWork,
): Promise<boolean> {
  const number = work.records.nextNumber();
  const write = known.prepare(number, evidenceOf(number));
  if (write === undefined) {
    work.records.reject(undefined, 'no-row');
    return true;
  }
  const started = work.records.begin(number, write, work.connection);
  warnings.clear();
  try {
    const answer = readAnswer(await client.query(write.text, write.values));
    if (answer === undefined) {
      write.onNothingChanged();
      work.records.reject(started, 'no-row');
    } else if (warnings.last !== undefined) {
      work.records.lose(started, warnings.last);
    } else {
      const acknowledged = work.records.acknowledge(started, answer);
      write.onDone(answer.id);
      const { rows } = await client.query('SELECT pg_current_wal_insert_lsn()::text AS lsn');
      acknowledged.walAfterCommit = parseLsn(rows[0].lsn);
    }
    return true;
  } catch (error) {
    if (isRejection(error)) {
      work.records.reject(started, error.code ?? 'unnamed');
      return true;
    }
    work.records.lose(started, error instanceof Error ? error.message : String(error));
    return false;
  }
}

/** Distinct for each write, also between two loads on one database, and fit for a handle and an e-mail address. */
function evidenceOf(number: number): string {
  return `load-${number}-${randomBytes(6).toString('hex')}`;
}

/**
 * Most errors are an answer: nothing was committed. Those of a server that stops or is in trouble (SQLSTATE classes 08,
 * 53, 57, 58 and XX) may come after the commit. The severity would say it too, but is in the server's language.
 */
function isRejection(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && !/^(08|53|57|58|XX)/.test(error.code ?? 'XX');
}

/** Ends early when `signal` is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {}); // The only error is that of the signal.
}

/**
 * A server that is asked to end while a commit waits for its standby acknowledges with a warning: the commit is not
 * known to be safe. Such a write must not count as acknowledged.
 */
class Warnings {
  last: string | undefined;

  constructor(client: pg.Client) {
    client.on('notice', (notice) => {
      if (notice.code?.startsWith('01')) this.last = notice.message; // SQLSTATE class 01: warning.
    });
  }

  clear(): void {
    this.last = undefined;
  }
}

type Records = ReturnType<typeof createRecords>;

/** The list of all writes, shared by the connections. */
function createRecords(onAcknowledged: LoadOptions['onAcknowledged']) {
  let lastNumber = 0;
  let reconnects = 0;
  const acknowledged: AcknowledgedWrite[] = [];
  const unknown: UnknownWrite[] = [];
  const inFlight = new Set<StartedWrite>();
  const rejected = new Map<string, number>();
  return {
    nextNumber: () => {
      lastNumber += 1;
      return lastNumber;
    },
    /** Goes on after the highest number that the database has seen, or that this load has given out. */
    continueAfter: async (connectionString: string) => {
      const client = await connect(connectionString);
      try {
        lastNumber = Math.max(lastNumber, await readHighestNumber(client));
      } finally {
        await client.end();
      }
    },
    countReconnect: () => {
      reconnects += 1;
    },
    begin: (number: number, write: PreparedWrite, connection: number): StartedWrite => {
      const { kind, evidence } = write;
      const started = { number, kind, evidence, connection, startedAtMonotonicMs: performance.now() };
      inFlight.add(started);
      return started;
    },
    acknowledge: (
      started: StartedWrite,
      answer: { transactionId: bigint; walBeforeCommit: bigint },
    ): AcknowledgedWrite => {
      inFlight.delete(started);
      const write: AcknowledgedWrite = {
        ...started,
        acknowledgedAtMonotonicMs: performance.now(),
        acknowledgedAtMs: Date.now(),
        transactionId: answer.transactionId,
        walBeforeCommit: answer.walBeforeCommit,
        walAfterCommit: undefined,
      };
      acknowledged.push(write);
      onAcknowledged?.(write);
      return write;
    },
    /** Does nothing for a write that was acknowledged before: then it is the question after it that failed. */
    reject: (started: StartedWrite | undefined, reason: string) => {
      if (started !== undefined && !inFlight.delete(started)) return;
      rejected.set(reason, (rejected.get(reason) ?? 0) + 1);
    },
    /** As `reject`: an acknowledged write stays one. */
    lose: (started: StartedWrite, reason: string) => {
      if (inFlight.delete(started)) unknown.push({ ...started, reason });
    },
    report: (): LoadReport => ({
      acknowledged: [...acknowledged],
      unknown: [...unknown],
      inFlight: [...inFlight],
      rejected: new Map(rejected),
      reconnects,
    }),
  };
}

async function readHighestNumber(client: pg.Client): Promise<number> {
  let highest = 0;
  for (const kind of writeKinds) {
    const { table, numberColumn } = traces[kind];
    const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS there', [`public.${table}`]);
    if (rows[0]?.there !== true) continue;
    const found = await client.query(`SELECT coalesce(max(${numberColumn}), 0) AS highest FROM ${table}`);
    highest = Math.max(highest, Number(found.rows[0].highest));
  }
  return highest;
}
