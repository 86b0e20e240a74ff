import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import {
  type ClusterPasswords,
  clusterPasswords,
  createCluster,
  serverEnvironment,
  serverUser,
} from './cluster-template.ts';
import { type PostgresBinaries, type PostgresMajor, preparePostgresBinaries } from './postgres-binaries.ts';
import { type ProcessGuard, startProcessGuard } from './process-guard.ts';
import { isAlive, killIfThere, listChildren } from './processes.ts';
import { closedToNobody, makeScratchDirectory, nobody, runsAsRoot } from './scratch.ts';

/**
 * A real PostgreSQL from the toolchain's packages, for tests, the demo and the bench.
 *
 * It listens on 127.0.0.1 and on a Unix socket, asks for SCRAM-SHA-256 on both, has data checksums, `wal_level=replica`
 * and fsync on. It ends with the process that started it, however that ends.
 */
export interface PostgresServer {
  readonly major: PostgresMajor;
  readonly port: number;
  readonly socketDirectory: string;
  readonly dataDirectory: string;
  readonly user: 'postgres';
  readonly password: string;
  /** Over TCP, as the superuser, database `postgres`. */
  readonly url: string;
  /** Over the Unix socket, as the superuser, database `postgres`. */
  readonly socketUrl: string;
  /** Over TCP, as the role `backup`: LOGIN, REPLICATION and pg_monitor, nothing more. */
  readonly backupUrl: string;
  /** Over the Unix socket, as the role `backup`. */
  readonly backupSocketUrl: string;
  readonly binDirectory: string;
  /** The postmaster's process id, `undefined` while the server is stopped. */
  readonly pid: number | undefined;
  /** Runs SQL on a connection of its own and gives the rows of the last statement. */
  query<Row = Record<string, unknown>>(sql: string, database?: string): Promise<Row[]>;
  /** `fast` ends sessions and writes a checkpoint; `immediate` leaves the next start to recover. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Kills the postmaster and all its children at once, as a crash of the machine would, save for the page cache. */
  kill9(): Promise<void>;
  /** Stops the server if it runs and starts it on the same port. */
  restart(): Promise<void>;
  /** All that the server has written to its log since the first start. */
  logText(): Promise<string>;
  /** Stops the server at once and removes all that was made for it. Safe to call again. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a test may want otherwise. */
export interface PostgresOptions {
  major: PostgresMajor;
  /** Written into postgresql.conf of a new cluster; given on the command line for a directory that was there before. */
  settings?: Record<string, string>;
  /** Handed to initdb besides ours. */
  initdbArguments?: readonly string[];
  /** 16 when not given. */
  walSegmentSizeMb?: number;
  /**
   * The cluster. One that is there is started as it is (and belongs to "nobody" afterwards when root asks); one that is
   * missing is made. Not removed by `dispose` unless it lies in a directory made here.
   */
  dataDirectory?: string;
  /** Where log, socket and, by default, the cluster lie; made here and removed by `dispose` when not given. */
  directory?: string;
}

const baseSettings: Record<string, string> = {
  shared_buffers: '32MB', // Several servers run beside each other in the tests.
  wal_level: 'replica',
  max_wal_senders: '10',
  max_replication_slots: '10',
  fsync: 'on',
  log_line_prefix: '%m [%p] %q%a ',
  timezone: 'UTC',
};

/** Recovery after a crash is part of starting; on a busy machine with two cores it has taken seconds. */
const startWaitMsMax = 120_000;
const stopWaitMsMax = 60_000;
/** A free port may be taken by somebody else before the server has it. */
const portAttemptsMax = 5;

/** Starts a server and waits until it accepts connections. */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const binaries = await preparePostgresBinaries(options.major);
  const passwords = await clusterPasswords();
  const owned = options.directory === undefined ? await makeScratchDirectory(`postgres-${options.major}`) : undefined;
  const directory = resolve(options.directory ?? owned!);
  const guard = startProcessGuard(owned);
  try {
    const dataDirectory = resolve(options.dataDirectory ?? join(directory, 'data'));
    const launchSettings = await prepareCluster(binaries, dataDirectory, options);
    const socketDirectory = join(directory, 'socket');
    await mkdir(socketDirectory, { recursive: true });
    await belongToServer(socketDirectory);
    const server = new RunningServer({
      binaries,
      passwords,
      directory,
      dataDirectory,
      socketDirectory,
      launchSettings,
      guard,
      owned,
    });
    await server.startOnFreePort();
    return server;
  } catch (error) {
    guard.dismiss();
    if (owned !== undefined) await rm(owned, { recursive: true, force: true });
    throw error;
  }
}

/** Makes the cluster if there is none; gives the settings that have to go on the command line. */
async function prepareCluster(
  binaries: PostgresBinaries,
  dataDirectory: string,
  options: PostgresOptions,
): Promise<Record<string, string>> {
  if (existsSync(join(dataDirectory, 'PG_VERSION'))) {
    await belongToServer(dataDirectory);
    return options.settings ?? {};
  }
  const initdbArguments = [...(options.initdbArguments ?? [])];
  if (options.walSegmentSizeMb !== undefined) initdbArguments.push(`--wal-segsize=${options.walSegmentSizeMb}`);
  // An empty directory may stand there; `cp` would copy into it instead of making it.
  await rm(dataDirectory, { recursive: true, force: true });
  await createCluster(binaries, initdbArguments, dataDirectory);
  const lines = Object.entries({ ...baseSettings, ...options.settings }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  );
  await appendFile(join(dataDirectory, 'postgresql.conf'), lines.join(''));
  await belongToServer(dataDirectory);
  return {};
}

/** Gives a tree to the server's user when that is not us, and says early when the way to it is closed. */
async function belongToServer(path: string): Promise<void> {
  if (!runsAsRoot) return;
  const closed = closedToNobody(path);
  if (closed !== undefined) {
    throw new Error(`a server that runs as "nobody" cannot reach "${path}": "${closed}" is closed to it`);
  }
  await promisify(execFile)('chown', ['-RP', `${nobody.uid}:${nobody.gid}`, path]);
}

interface ServerParts {
  binaries: PostgresBinaries;
  passwords: ClusterPasswords;
  directory: string;
  dataDirectory: string;
  socketDirectory: string;
  launchSettings: Record<string, string>;
  guard: ProcessGuard;
  owned: string | undefined;
}

class RunningServer implements PostgresServer {
  readonly #parts: ServerParts;
  readonly #logFile: string;
  #port = 0;
  #child: ChildProcess | undefined;

  constructor(parts: ServerParts) {
    this.#parts = parts;
    this.#logFile = join(parts.directory, 'server.log');
  }

  readonly user = 'postgres';

  get major(): PostgresMajor {
    return this.#parts.binaries.major;
  }

  get binDirectory(): string {
    return this.#parts.binaries.binDirectory;
  }

  get port(): number {
    return this.#port;
  }

  get socketDirectory(): string {
    return this.#parts.socketDirectory;
  }

  get dataDirectory(): string {
    return this.#parts.dataDirectory;
  }

  get password(): string {
    return this.#parts.passwords.postgres;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get url(): string {
    return this.#tcpUrl('postgres');
  }

  get socketUrl(): string {
    return this.#socketUrl('postgres');
  }

  get backupUrl(): string {
    return this.#tcpUrl('backup');
  }

  get backupSocketUrl(): string {
    return this.#socketUrl('backup');
  }

  #tcpUrl(role: keyof ClusterPasswords): string {
    return `postgresql://${role}:${this.#parts.passwords[role]}@127.0.0.1:${this.#port}/postgres`;
  }

  #socketUrl(role: keyof ClusterPasswords): string {
    const host = encodeURIComponent(this.socketDirectory);
    return `postgresql://${role}:${this.#parts.passwords[role]}@/postgres?host=${host}&port=${this.#port}`;
  }

  async query<Row = Record<string, unknown>>(sql: string, database = 'postgres'): Promise<Row[]> {
    const client = new pg.Client({
      host: this.socketDirectory,
      port: this.#port,
      user: this.user,
      password: this.password,
      database,
    });
    // A server that is killed under the connection is told by the query's own rejection.
    client.on('error', () => {});
    await client.connect();
    try {
      const results: pg.QueryResult | pg.QueryResult[] = await client.query(sql);
      const last = Array.isArray(results) ? results.at(-1) : results;
      return (last?.rows ?? []) as Row[];
    } finally {
      await client.end();
    }
  }

  async startOnFreePort(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#port = await findFreePort();
      try {
        return await this.#start();
      } catch (error) {
        if (attempt === portAttemptsMax || !/Address already in use/.test(String(error))) throw error;
      }
    }
  }

  async #start(): Promise<void> {
    const settings = Object.entries(this.#parts.launchSettings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = openSync(this.#logFile, 'a');
    const logStart = (await this.logText()).length;
    // Port, socket and log go on the command line, so that a copy of the cluster never contends for the original's.
    const child = spawn(
      join(this.binDirectory, 'postgres'),
      [
        ...['-D', this.dataDirectory, '-p', String(this.#port), '-k', this.socketDirectory, '-h', '127.0.0.1'],
        ...['-c', 'logging_collector=off', '-c', 'log_destination=stderr', ...settings],
      ],
      { ...serverUser, env: serverEnvironment, cwd: '/', stdio: ['ignore', log, log] },
    );
    closeSync(log);
    child.unref(); // A test that forgets its server still ends, and the guard ends the server.
    this.#child = child;
    this.#parts.guard.watch(child.pid);
    const ended = new Promise<string>((done) => {
      child.once('error', (error) => done(error.message));
      child.once('exit', (code, signal) => done(`exit code ${code}, signal ${signal}`));
    }).then((how) => {
      if (this.#child === child) {
        this.#child = undefined;
        this.#parts.guard.watch(undefined);
      }
      return how;
    });
    const how = await Promise.race([ended, this.#waitUntilReady(child)]);
    if (how !== undefined) {
      throw new Error(`PostgreSQL ${this.major} did not start (${how}):\n${(await this.logText()).slice(logStart)}`);
    }
  }

  /** The eighth line of postmaster.pid is what pg_ctl waits for, too. */
  async #waitUntilReady(child: ChildProcess): Promise<undefined> {
    const deadline = Date.now() + startWaitMsMax;
    while (this.#child === child) {
      const lines = await readFile(join(this.dataDirectory, 'postmaster.pid'), 'utf8').catch(() => ''); // Not written yet.
      const [pid, , , , , , , status] = lines.split('\n');
      if (pid === String(child.pid) && /^(ready|standby)/.test(status ?? '')) return undefined;
      if (Date.now() > deadline) {
        const log = await this.logText();
        await this.stop('immediate');
        throw new Error(`PostgreSQL ${this.major} was not ready after ${startWaitMsMax} ms:\n${log}`);
      }
      await delay(10);
    }
    return undefined;
  }

  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    await this.#endWith(child, () => child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT'));
  }

  async kill9(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    // Held still first, so that no child is born between the count and the kill.
    child.kill('SIGSTOP');
    const children = await listChildren(child.pid);
    await this.#endWith(child, () => {
      for (const pid of [child.pid!, ...children]) killIfThere(pid);
    });
    while (children.some(isAlive)) await delay(5);
  }

  async #endWith(child: ChildProcess, act: () => void): Promise<void> {
    const exited = new Promise<'exited'>((done) => child.once('exit', () => done('exited')));
    child.ref();
    act();
    const patience = new AbortController();
    const late = delay(stopWaitMsMax, 'late' as const, { signal: patience.signal }).catch(() => 'late' as const);
    const outcome = await Promise.race([exited, late]);
    patience.abort();
    if (outcome === 'late') {
      child.kill('SIGKILL');
      throw new Error(`PostgreSQL ${this.major} did not stop within ${stopWaitMsMax} ms:\n${await this.logText()}`);
    }
    this.#child = undefined;
    this.#parts.guard.watch(undefined);
  }

  async restart(): Promise<void> {
    await this.stop('fast');
    await this.#start();
  }

  logText(): Promise<string> {
    return readFile(this.#logFile, 'utf8');
  }

  async dispose(): Promise<void> {
    await this.stop('immediate');
    this.#parts.guard.dismiss();
    if (this.#parts.owned !== undefined) await rm(this.#parts.owned, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** A port that was free a moment ago. */
export async function findFreePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done, fail) => probe.once('error', fail).listen(0, '127.0.0.1', done));
  const address = probe.address();
  await new Promise((done) => probe.close(done));
  if (address === null || typeof address === 'string') throw new Error('no free port found');
  return address.port;
}
