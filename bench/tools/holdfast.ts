import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Command, runCommand } from '../measure.ts';
import type { BenchDirectory, Entrant } from '../row.ts';
import type { BenchServer } from '../server.ts';
import { flushedLsn } from '../workload.ts';
import { measureDirectoryBytes } from './directories.ts';
import { compiledCode, packedProgram } from './packed-holdfast.ts';

const packageFile = fileURLToPath(new URL('../../package.json', import.meta.url));

/** The name under which the repository knows the server. */
export const benchCluster = 'bench';

/** How a backup reads: from where, and whether only what changed. */
export interface BackupManner {
  readonly type: 'full' | 'incremental';
  readonly direct?: boolean;
  readonly level?: number;
}

/** Ours, as its users run it: the command line of the package, with the WAL that a backup needs. */
export class Holdfast {
  readonly version: string;
  readonly repository: string;
  readonly keyFile: string;
  readonly stateDirectory: string;
  readonly #env: Record<string, string>;
  readonly #directory: string;
  readonly #program: string;
  readonly #server: BenchServer;

  /** `env` is for a store that is elsewhere. */
  constructor(
    server: BenchServer,
    { outside }: BenchDirectory,
    store?: { location: string; env: Record<string, string> },
  ) {
    this.#program = packedProgram(server.workplace.outside);
    if (!existsSync(this.#program)) throw new Error('cannot measure Holdfast: it was not packed');
    this.version = (JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version;
    this.#directory = outside;
    this.#server = server;
    this.repository = join(outside, 'repository');
    this.keyFile = join(outside, 'holdfast.key');
    this.stateDirectory = join(outside, 'state');
    this.#env = {
      // An installed package runs on the Node of PATH.
      PATH: [dirname(process.execPath), '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(':'),
      DATABASE_URL: server.url,
      HOLDFAST_REPOSITORY: store?.location ?? this.repository,
      // What an unattended host uses; a passphrase costs half a second of argon2id at each start.
      HOLDFAST_KEY_FILE: this.keyFile,
      HOLDFAST_STATE_DIR: this.stateDirectory,
      HOME: outside,
      // As a user's later runs have it; the first command of a bench fills it.
      NODE_COMPILE_CACHE: compiledCode(server.workplace.outside),
      ...store?.env,
    };
  }

  entrant(name: string, setup: string): Entrant {
    return { name, version: this.version, setup };
  }

  command(...args: string[]): Command {
    return { program: this.#program, args, env: this.#env, cwd: this.#directory };
  }

  /** Makes a fresh repository. */
  prepare(): Promise<void> {
    return runCommand(this.command('repository', 'init', '--generate-key-file', this.keyFile));
  }

  backup({ type, direct, level }: BackupManner): Command {
    return this.command(
      ...['backup', '--cluster', benchCluster, '--checkpoint', 'fast', '--type', type],
      ...(direct === true ? ['--direct'] : []),
      ...(level === undefined ? [] : ['--compression-level', String(level)]),
    );
  }

  /**
   * Has all WAL up to now stored, as a receiver does that runs all the time: an increment is built only where there is no gap since its base. From the
   * first time on the server keeps the WAL for the next.
   */
  async bringWal(): Promise<void> {
    const until = await flushedLsn(this.#server);
    await runCommand(this.command('wal', 'stream', '--cluster', benchCluster, '--until', until));
  }

  /** Errors: a plain one where the last backup read everything, as what was measured then is not what the row says. */
  async requireIncrement(): Promise<void> {
    const { program, args, env, cwd } = this.command('list', '--json');
    const { stdout } = await promisify(execFile)(program, args, { env, cwd });
    const { snapshots } = JSON.parse(stdout) as { snapshots: { reading: { manner: string; why?: string } | null }[] };
    const reading = snapshots.at(-1)?.reading;
    if (reading?.manner !== 'increment')
      throw new Error(`the increment was none: ${reading?.why ?? 'nothing is listed'}`);
  }

  restore(into: string, ...options: string[]): Command {
    return this.command('restore', '--into', into, '--cluster', benchCluster, '--to', 'latest', ...options);
  }

  /** Of the repository on the disk. */
  storedBytes(): Promise<number> {
    return measureDirectoryBytes(this.repository);
  }

  /** The same without the WAL, of which our peers have none. */
  async storedBytesOfBackups(): Promise<number> {
    return (await this.storedBytes()) - (await measureDirectoryBytes(join(this.repository, 'wal')));
  }
}
