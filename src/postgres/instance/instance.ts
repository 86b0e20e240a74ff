import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { chown, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, codeOf, HoldfastError, messageOf, systemClock } from '../../lib/index.ts';
import { ConnectionTarget, type ConnectOptions, connect, type PostgresConnection } from '../connection/index.ts';
import { readControlFile } from '../control-file.ts';
import { formatHistoryName } from '../segment-name.ts';
import { parseServerVersion } from '../server-version.ts';
import { parseTimelineHistory } from '../timeline-history.ts';
import type { RequiredSettings } from '../wal/index.ts';
import {
  highestSettings,
  isolatedSettings,
  type SystemUser,
  sessionSettings,
  walSizeSettings,
  writeConfiguration,
} from './isolation.ts';
import { findNamespaceLauncher } from './network-namespace.ts';
import { instanceExitError, parseRecoveryLog, type RecoveryReport } from './recovery-log.ts';
import { putBackConfiguration, setConfigurationAside } from './set-aside.ts';

export interface InstanceOptions {
  readonly dataDirectory: string;
  /** Of the same major version as the data directory; see `findServerBinaries`. */
  readonly binDirectory: string;
  /** A directory for the socket, the configuration and the log of this instance alone; made with mode 0700. */
  readonly runDirectory: string;
  /** Only names the socket. */
  readonly port?: number;
  /** What the WAL that will be replayed needs, besides `pg_control`; the higher value of each counts. */
  readonly required?: RequiredSettings | null;
  /** Settings over those of the isolation: restore_command, recovery_target_lsn, shared_buffers … */
  readonly settings?: Readonly<Record<string, string>>;
  /** Needed when we are root: the server refuses to run as root. The owner of the data directory when not given. */
  readonly runAs?: SystemUser | undefined;
  /** The role that `connect` logs in as. */
  readonly user?: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** How a server ended: `code` is null when `signal` ended it. */
export interface InstanceExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running server of ours. */
export interface Instance {
  readonly pid: number;
  /** Where it can be reached: over its private socket, without a password. */
  readonly target: ConnectionTarget;
  readonly logPath: string;
  /** Whether it runs in a network namespace of its own, in which there is no network. Without one it only listens on nothing. */
  readonly hasOwnNetwork: boolean;
  /** Settled when the server has ended, for whatever reason. */
  readonly exited: Promise<InstanceExit>;
  connect(options?: ConnectOptions): Promise<PostgresConnection>;
  /** Puts further settings in force while it runs; only those that a server takes up without a restart. */
  configure(settings: Readonly<Record<string, string>>): Promise<void>;
  /** What its log tells of recovery up to now. */
  recoveryReport(): Promise<RecoveryReport>;
  /**
   * Waits until recovery is over and the server takes connections, however long that is; `onProgress` is told what the log
   * says, about once a second.
   *
   * Errors: PG_RECOVERY_TARGET_NOT_REACHED, PG_RECOVERY_TARGET_TOO_EARLY, PG_INSTANCE_EXITED, PG_CANCELLED.
   */
  waitForEndOfRecovery(options?: {
    signal?: AbortSignal;
    onProgress?: (report: RecoveryReport) => void;
  }): Promise<EndOfRecovery>;
  /** Ends the server: `fast` with a checkpoint, `immediate` without. Puts the set-aside configuration back. Safe to repeat. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Lets the server go on when this process ends. */
  release(): void;
}

export interface EndOfRecovery extends RecoveryReport {
  /**
   * Where the last replayed record ends: the point at which the new timeline began. Null when no new timeline was begun, as
   * after a mere crash.
   */
  readonly endLsn: bigint | null;
}

const PORT_DEFAULT = 5432;
/** Between two looks at a server that starts or recovers. */
const POLL_MS = 50;
const PROGRESS_MS = 1_000;
/** Exit codes of a program that starts another one: it may not be run, or is not there. */
const LAUNCH_FAILED = [126, 127];
/** Until the postmaster answers at all; recovery is not counted. */
const START_WAIT_MS = 60_000;
/** A checkpoint of a large cache on a slow disk takes its time. */
const FAST_STOP_WAIT_MS = 300_000;
const IMMEDIATE_STOP_WAIT_MS = 10_000;

/**
 * Starts a server on a data directory, isolated as `isolatedSettings` says, and returns as soon as it answers, be it with "in
 * recovery". Recovery itself is asked for by the caller: with `recovery.signal` in the directory and settings.
 *
 * While the server runs, `postgresql.auto.conf` is set aside; `stop` puts it back, also when the server has ended by itself.
 *
 * Errors: PG_INSTANCE_OWNER_INVALID, PG_INSTANCE_START_FAILED, PG_INSTANCE_EXITED, PG_SOCKET_PATH_TOO_LONG,
 *         PG_SETTING_NAME_INVALID, PG_CANCELLED; those of `readControlFile`.
 */
export async function startInstance(options: InstanceOptions): Promise<Instance> {
  const { dataDirectory, runDirectory } = options;
  const port = options.port ?? PORT_DEFAULT;
  const owner = await chooseOwner(options);
  const control = await readControlFile(dataDirectory);
  const major = parseServerVersion(await readFile(join(dataDirectory, 'PG_VERSION'), 'utf8')).major;
  const required = highestSettings(options.required ?? null, control);
  const settings = {
    ...isolatedSettings(required, major, { runDirectory, port }),
    // The server wants room for two segments at least, and its own bounds are too low for large ones.
    ...walSizeSettings(control.walSegmentSize),
    ...options.settings,
  };
  await writeConfiguration(runDirectory, settings, owner);
  await setConfigurationAside(dataDirectory);
  const launcher = await findNamespaceLauncher(owner);
  const instance = new RunningInstance(options, { port, owner, settings, launcher, major });
  try {
    await instance.start();
  } catch (error) {
    await instance.stop('immediate');
    throw error;
  }
  return instance;
}

/** As root: the owner that was named or the one of the directory; never root itself. */
async function chooseOwner(options: InstanceOptions): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(options.dataDirectory);
  const owner = options.runAs ?? { uid, gid };
  if (owner.uid !== 0 && owner.uid === uid) return owner;
  throw new HoldfastError('PG_INSTANCE_OWNER_INVALID', `cannot start a server on "${options.dataDirectory}"`, {
    detail: `Expected the directory to belong to the user who runs the server and who is not root, found user ${uid}.`,
    hints: ['Give the directory to an unprivileged user first (chown -R).'],
  });
}

class RunningInstance implements Instance {
  readonly target: ConnectionTarget;
  readonly logPath: string;
  readonly #options: InstanceOptions;
  readonly #owner: SystemUser | undefined;
  readonly #clock: Clock;
  readonly #launcher: readonly string[] | null;
  readonly #major: number;
  #settings: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #exit: InstanceExit | undefined;
  #exited: Promise<InstanceExit> = new Promise(() => {});
  #spawnError: unknown;

  constructor(
    options: InstanceOptions,
    {
      port,
      owner,
      settings,
      launcher,
      major,
    }: {
      port: number;
      owner: SystemUser | undefined;
      settings: Readonly<Record<string, string>>;
      launcher: readonly string[] | null;
      major: number;
    },
  ) {
    this.#options = options;
    this.#owner = owner;
    this.#launcher = launcher;
    this.#major = major;
    this.#settings = settings;
    this.#clock = options.clock ?? systemClock;
    this.logPath = join(options.runDirectory, 'server.log');
    this.target = new ConnectionTarget({
      servers: [{ host: options.runDirectory, port }],
      user: options.user ?? 'postgres',
      database: 'postgres',
      sslMode: 'disable',
      channelBinding: 'disable',
      connectTimeoutMs: START_WAIT_MS,
    });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get hasOwnNetwork(): boolean {
    return this.#launcher !== null;
  }

  get exited(): Promise<InstanceExit> {
    return this.#exited;
  }

  async start(): Promise<void> {
    const { dataDirectory, runDirectory, binDirectory, signal } = this.#options;
    const log = openSync(this.logPath, 'w', 0o600);
    try {
      if (this.#owner !== undefined) await chown(this.logPath, this.#owner.uid, this.#owner.gid);
      const [program, ...words] = [
        ...(this.#launcher ?? []),
        ...[join(binDirectory, 'postgres'), '-D', dataDirectory],
        ...['-c', `config_file=${join(runDirectory, 'postgresql.conf')}`],
      ];
      // The launcher itself becomes the user who runs the server, behind the last thing for which it needs more rights.
      const user = this.#launcher === null ? this.#owner : undefined;
      // A group of its own: Ctrl-C in a terminal ends us, and we end the server in the right order.
      const child = spawn(program!, words, {
        ...{ stdio: ['ignore', log, log], cwd: '/', detached: true, env: serverEnvironment() },
        ...user,
      });
      this.#child = child;
      this.#exited = new Promise((resolve) => {
        const settle = (exit: InstanceExit) => {
          this.#exit ??= exit;
          resolve(this.#exit);
        };
        child.once('error', (error) => {
          this.#spawnError = error;
          settle({ code: null, signal: null });
        });
        child.once('exit', (code, exitSignal) => settle({ code, signal: exitSignal }));
      });
    } finally {
      closeSync(log);
    }
    const deadline = this.#clock.monotonic() + START_WAIT_MS;
    while ((await this.#ask()) === 'silent') {
      if (this.#clock.monotonic() > deadline) throw await this.#notAnswering();
      await this.#pause(signal);
    }
  }

  connect(options: ConnectOptions = {}): Promise<PostgresConnection> {
    const settings = { ...sessionSettings(this.#major), ...options.settings };
    return connect(this.target, { clock: this.#clock, ...options, settings });
  }

  async configure(settings: Readonly<Record<string, string>>): Promise<void> {
    this.#settings = { ...this.#settings, ...settings };
    await writeConfiguration(this.#options.runDirectory, this.#settings, this.#owner);
    this.#child?.kill('SIGHUP');
  }

  async recoveryReport(): Promise<RecoveryReport> {
    return parseRecoveryLog(await this.#log());
  }

  async waitForEndOfRecovery(
    options: { signal?: AbortSignal; onProgress?: (report: RecoveryReport) => void } = {},
  ): Promise<EndOfRecovery> {
    let toldAt = this.#clock.monotonic();
    while ((await this.#ask()) !== 'ready') {
      if (options.onProgress !== undefined && this.#clock.monotonic() - toldAt >= PROGRESS_MS) {
        toldAt = this.#clock.monotonic();
        options.onProgress(await this.recoveryReport());
      }
      await this.#pause(options.signal);
    }
    const report = await this.recoveryReport();
    return { ...report, endLsn: await this.#endOfOldTimeline(report.newTimeline) };
  }

  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (this.#child !== undefined && this.#exit === undefined) {
      const wasFast = mode === 'fast' && (await this.#endWith('SIGINT', FAST_STOP_WAIT_MS));
      const hasEnded = wasFast || (await this.#endWith('SIGQUIT', IMMEDIATE_STOP_WAIT_MS));
      if (!hasEnded) await this.#endWith('SIGKILL', IMMEDIATE_STOP_WAIT_MS);
    }
    await putBackConfiguration(this.#options.dataDirectory);
  }

  release(): void {
    this.#child?.unref();
  }

  /**
   * How far the server is, as it says in its lock file: asking over the socket would fill its log with refusals. Throws when
   * it has ended. Source: PostgreSQL, pidfile.h, LOCK_FILE_LINE_PM_STATUS.
   */
  async #ask(): Promise<'ready' | 'busy' | 'silent'> {
    if (this.#exit !== undefined) throw await this.#exitError();
    let lines: string[];
    try {
      lines = (await readFile(join(this.#options.dataDirectory, 'postmaster.pid'), 'utf8')).split('\n');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return 'silent';
      throw error;
    }
    const status = lines[0] === String(this.pid) ? lines[7]?.trim() : undefined;
    if (status === undefined || status === '') return 'silent';
    return status === 'ready' ? 'ready' : 'busy';
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) {
      throw new HoldfastError('PG_CANCELLED', 'gave up waiting for a server', { cause: signal.reason });
    }
    const woken = new AbortController();
    const wake = () => woken.abort();
    signal?.addEventListener('abort', wake, { once: true });
    await Promise.race([this.#clock.sleep(POLL_MS, woken.signal), this.#exited]);
    woken.abort();
    signal?.removeEventListener('abort', wake);
  }

  async #endWith(signal: NodeJS.Signals, waitMs: number): Promise<boolean> {
    const pid = this.#child?.pid;
    if (pid === undefined) return true;
    this.#child?.ref();
    this.#child?.kill(signal);
    const waited = new AbortController();
    await Promise.race([this.#exited, this.#clock.sleep(waitMs, waited.signal)]);
    waited.abort();
    return this.#exit !== undefined;
  }

  async #endOfOldTimeline(newTimeline: number | null): Promise<bigint | null> {
    if (newTimeline === null) return null;
    const path = join(this.#options.dataDirectory, 'pg_wal', formatHistoryName(newTimeline));
    return parseTimelineHistory(await readFile(path, 'utf8')).at(-1)?.switchLsn ?? null;
  }

  async #log(): Promise<string> {
    return readFile(this.logPath, 'utf8');
  }

  async #exitError(): Promise<HoldfastError> {
    if (this.#spawnError !== undefined) return this.#notRun(messageOf(this.#spawnError), this.#spawnError);
    const { code, signal } = this.#exit ?? { code: null, signal: null };
    const log = await this.#log();
    // What the launcher says when it is not let at the program.
    if (this.#launcher !== null && LAUNCH_FAILED.includes(code ?? 0)) return this.#notRun(log.trim());
    return instanceExitError(log, signal === null ? `exit code ${code}` : `signal ${signal}`);
  }

  #notRun(words: string, cause?: unknown): HoldfastError {
    return new HoldfastError('PG_INSTANCE_START_FAILED', `could not run "${this.#options.binDirectory}/postgres"`, {
      detail: `The system said: ${words}.`,
      hints: ['Check that the user who runs the server may enter the directories of its programs and of its data.'],
      ...(cause === undefined ? {} : { cause }),
    });
  }

  async #notAnswering(): Promise<HoldfastError> {
    return new HoldfastError('PG_INSTANCE_START_FAILED', `server on "${this.#options.dataDirectory}" does not answer`, {
      detail: `Expected an answer within ${START_WAIT_MS / 1000} seconds. Its log ends: ${(await this.#log()).slice(-500)}`,
    });
  }
}

/** Nothing of our own environment may change what the server does, or be seen by its restore_command. */
function serverEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
