import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { type Instance, parseLsn } from '../../src/postgres/index.ts';
import { type BackupOptions, type BackupResult, runBackup } from '../../src/protect/backup/index.ts';
import type { Repository } from '../../src/repository/index.ts';
import { type RestoreOptions, type RestoreResult, runRestore } from '../../src/restore/index.ts';
import type { PostgresMajor } from './postgres-binaries.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import { makeRepository, type TestRepository, targetOf } from './repository.ts';
import { makeScratchDirectory } from './scratch.ts';
import { flushLsnOf, type RunningReceiver, startReceiver } from './wal-receiver.ts';

/** One committed transaction of the history that a test writes: it adds row `n` and nothing else. */
export interface HistoryStep {
  readonly n: number;
  readonly xid: number;
  /** Commit time by the server, in microseconds since 1970. */
  readonly at: bigint;
  /** A position behind the commit record and before anything of the next step. */
  readonly lsnAfter: bigint;
}

/** A server whose WAL goes into a repository while it writes a numbered history. */
export interface ProtectedServer {
  readonly server: PostgresServer;
  readonly place: TestRepository;
  readonly repository: Repository;
  readonly receiver: RunningReceiver;
  readonly scratch: string;
  readonly steps: readonly HistoryStep[];
  /** Adds `count` rows, one transaction each. */
  write(count: number): Promise<void>;
  backUp(options?: Partial<BackupOptions>): Promise<BackupResult>;
  /** Settled when all that the server has flushed is durable in the repository. */
  settle(): Promise<void>;
  /** A restore of it into a new directory below the scratch directory. */
  restore(options: Pick<RestoreOptions, 'target'> & Partial<RestoreOptions>): Promise<RestoreResult>;
  dispose(): Promise<void>;
}

/** Starts all of it. The table `history (n int primary key)` is there and empty. */
export async function startProtectedServer(
  major: PostgresMajor,
  settings: Record<string, string> = {},
): Promise<ProtectedServer> {
  const scratch = await makeScratchDirectory(`protected-${major}`);
  const stack = new AsyncDisposableStack();
  stack.defer(() => rm(scratch, { recursive: true, force: true }));
  try {
    const server = stack.use(await startPostgres({ major, settings: { track_commit_timestamp: 'on', ...settings } }));
    await server.query('CREATE TABLE history (n int PRIMARY KEY)');
    const place = await makeRepository(scratch);
    stack.defer(() => place.repository.close());
    const { repository, stateDirectory } = place;
    const receiver = stack.use(
      startReceiver({ repository, stateDirectory, source: server.backupSocketUrl, flushIntervalMs: 100 }),
    );
    const steps: HistoryStep[] = [];
    let restores = 0;
    const common = { repository, stateDirectory, clock: systemClock };
    return {
      ...{ server, place, repository, receiver, scratch, steps },
      write: async (count) => {
        for (let i = 0; i < count; i++) steps.push(await writeStep(server, steps.length + 1));
      },
      backUp: (options = {}) => {
        const source = targetOf(server.backupSocketUrl);
        return runBackup({
          ...common,
          source,
          cluster: 'main',
          progress: silentProgress,
          checkpoint: 'fast',
          ...options,
        });
      },
      settle: async () => receiver.durable(await flushLsnOf(server)),
      restore: (options) => {
        restores += 1;
        return runRestore({ ...common, into: join(scratch, `restored-${restores}`), ...options });
      },
      dispose: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function writeStep(server: PostgresServer, n: number): Promise<HistoryStep> {
  const [row] = await server.query<{ xid: string }>(
    `INSERT INTO history VALUES (${n}) RETURNING (txid_current() % (2^32)::bigint)::text AS xid`,
  );
  const [after] = await server.query<{ at: string; lsn: string }>(
    `SELECT (extract(epoch FROM pg_xact_commit_timestamp('${row!.xid}'::xid)) * 1000000)::bigint::text AS at, pg_current_wal_insert_lsn() AS lsn`,
  );
  return { n, xid: Number(row!.xid), at: BigInt(after!.at), lsnAfter: parseLsn(after!.lsn) };
}

/** The rows of `history` in a restored server, as one text. */
export async function historyOf(instance: Instance): Promise<string> {
  const connection = await instance.connect();
  try {
    const [result] = await connection.query("SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM history");
    return result!.rows[0]![0]!;
  } finally {
    await connection.close();
  }
}

/** The rows 1 to `n` as `historyOf` gives them. */
export function rowsUpTo(n: number): string {
  return Array.from({ length: n }, (_, i) => String(i + 1)).join(' ');
}

/** Settled when a server that still recovers takes connections. One that never will ends by itself, and then the test. */
export async function untilOpen(server: PostgresServer): Promise<void> {
  for (;;) {
    try {
      await server.query('SELECT 1');
      return;
    } catch (error) {
      if (server.pid === undefined) throw new Error(`the server has ended:\n${await server.logText()}`);
      if (!/not (yet )?accepting connections|starting up/.test(String(error))) throw error;
      await systemClock.sleep(20);
    }
  }
}
