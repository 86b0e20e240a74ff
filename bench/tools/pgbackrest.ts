import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Command, runCommand } from '../measure.ts';
import { type Peers, peerUser } from '../peers.ts';
import type { BenchDirectory, Entrant } from '../row.ts';
import type { BenchServer } from '../server.ts';
import { giveToPeerUser, measureDirectoryBytes } from './directories.ts';

const stanza = 'bench';
/** One for each core, as we have a worker for each. */
const processes = Math.max(2, availableParallelism());

/**
 * pgBackRest as one would set it up to be compared with us: the same compressor and level, encrypted, bundled, block
 * incremental, a process for each core. It reads the data directory itself; it brings no WAL, as its archive check is off.
 */
export class Pgbackrest {
  readonly entrant: Entrant;
  readonly #config: string;
  readonly #peers: Peers;
  readonly #server: BenchServer;
  readonly #directory: BenchDirectory;
  readonly #level: number;

  constructor(peers: Peers, server: BenchServer, directory: BenchDirectory, level = 1) {
    this.#peers = peers;
    this.#server = server;
    this.#directory = directory;
    this.#level = level;
    this.#config = join(directory.inside, 'pgbackrest.conf');
    this.entrant = {
      name: 'pgbackrest',
      version: peers.pgbackrestVersion,
      setup: `zstd ${level}, repo-bundle, repo-block, aes-256-cbc, process-max=${processes}, archive-check off, posix repository`,
    };
  }

  /** Makes a fresh repository. */
  async prepare(): Promise<void> {
    for (const name of ['restored', 'spool']) await mkdir(join(this.#directory.outside, name));
    await writeFile(join(this.#directory.outside, 'pgbackrest.conf'), this.#configuration());
    await giveToPeerUser(this.#directory.outside);
    await runCommand(this.#command('stanza-create'));
  }

  backup(type: 'full' | 'incr'): Command {
    return this.#command(`--type=${type}`, 'backup');
  }

  /** Where `restore` brings the cluster, as seen from outside. */
  get restored(): string {
    return join(this.#directory.outside, 'restored');
  }

  restore(...options: string[]): Command {
    return this.#command(`--pg1-path=${join(this.#directory.inside, 'restored')}`, ...options, 'restore');
  }

  /** For archive_command, inside the peers' root. */
  archiveCommand(): string {
    return `/usr/bin/pgbackrest --config=${this.#config} --stanza=${stanza} archive-push %p`;
  }

  storedBytes(): Promise<number> {
    return measureDirectoryBytes(join(this.#directory.outside, 'repository'));
  }

  #command(...args: string[]): Command {
    const own = [`--config=${this.#config}`, `--stanza=${stanza}`];
    return {
      program: 'chroot',
      args: [`--userspec=${peerUser}`, this.#peers.root, '/usr/bin/pgbackrest', ...own, ...args],
    };
  }

  #configuration(): string {
    const { inside } = this.#directory;
    const { workplace, port } = this.#server;
    const lines = {
      global: {
        'repo1-path': join(inside, 'repository'),
        'repo1-cipher-type': 'aes-256-cbc',
        'repo1-cipher-pass': randomBytes(32).toString('base64'),
        'repo1-bundle': 'y',
        'repo1-block': 'y',
        'compress-type': 'zst',
        'compress-level': String(this.#level),
        'process-max': String(processes),
        'lock-path': join(inside, 'lock'),
        'spool-path': join(inside, 'spool'),
        'log-level-file': 'off',
        'log-level-console': 'off',
        'log-level-stderr': 'warn',
      },
      'global:backup': { 'archive-check': 'n', 'start-fast': 'y' },
      'global:archive-push': { 'archive-async': 'y' },
      [stanza]: {
        'pg1-path': join(workplace.inside, 'data'),
        'pg1-socket-path': join(workplace.inside, 's'),
        'pg1-port': String(port),
        'pg1-user': 'postgres',
      },
    };
    return Object.entries(lines)
      .map(([section, options]) =>
        [`[${section}]`, ...Object.entries(options).map((pair) => pair.join('='))].join('\n'),
      )
      .join('\n');
  }
}
