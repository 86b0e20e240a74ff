import { join } from 'node:path';
import type { Command } from '../measure.ts';
import { type Peers, peerUser } from '../peers.ts';
import type { BenchDirectory, Entrant } from '../row.ts';
import type { BenchServer } from '../server.ts';

/** PostgreSQL's own programs: the least that a backup costs, and the other way to put increments together. */
export class ClientTools {
  readonly entrant: Entrant;
  readonly #peers: Peers;
  readonly #connection: readonly string[];

  constructor(peers: Peers, server: BenchServer, name: string, setup: string) {
    this.entrant = { name, version: peers.postgresVersion, setup };
    this.#peers = peers;
    this.#connection = ['-h', `${server.workplace.inside}/s`, '-p', String(server.port), '-U', 'postgres'];
  }

  /** One tar to nowhere. */
  discard(): Command {
    return this.#command('pg_basebackup', ...this.#connection, '-D', '-', '-F', 't', '-X', 'none', '-c', 'fast');
  }

  /** A plain directory, a full one or an increment over another. */
  basebackup(into: BenchDirectory, over?: BenchDirectory): Command {
    const incremental = over === undefined ? [] : [`--incremental=${join(over.inside, 'backup_manifest')}`];
    return this.#command(
      'pg_basebackup',
      ...this.#connection,
      '-D',
      into.inside,
      '-X',
      'fetch',
      '-c',
      'fast',
      ...incremental,
    );
  }

  /** A chain of such directories, oldest first. */
  combine(chain: readonly BenchDirectory[], into: BenchDirectory): Command {
    return this.#command('pg_combinebackup', ...chain.map(({ inside }) => inside), '-o', into.inside);
  }

  #command(program: string, ...args: string[]): Command {
    const path = `${this.#peers.postgresBin}/${program}`;
    return { program: 'chroot', args: [`--userspec=${peerUser}`, this.#peers.root, path, ...args] };
  }
}
