import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Command, runCommand } from '../measure.ts';
import { type Peers, peerUser } from '../peers.ts';
import type { BenchServer } from '../server.ts';
import type { Contender, RoundDirectory } from './contender.ts';
import { giveToPeerUser, measureDirectoryBytes } from './directories.ts';

const stanza = 'bench';
/** One for each core, as we have a worker for each. */
const processes = Math.max(2, availableParallelism());

/**
 * pgBackRest as one would set it up to be compared with us: the same compressor and level, encrypted, bundled, block
 * incremental ready, a process for each core. It reads the data directory itself; it brings no WAL, as its archive check is off.
 */
export function createPgbackrest(peers: Peers, server: BenchServer, round: RoundDirectory): Contender {
  const config = join(round.inside, 'pgbackrest.conf');
  const pgbackrest = (...args: string[]): Command => ({
    program: 'chroot',
    args: [
      `--userspec=${peerUser}`,
      peers.root,
      '/usr/bin/pgbackrest',
      `--config=${config}`,
      `--stanza=${stanza}`,
      ...args,
    ],
  });
  const restored = join(round.outside, 'restored');
  return {
    name: 'pgbackrest',
    version: peers.pgbackrestVersion,
    setup: `zstd 1, repo-bundle, repo-block, aes-256-cbc, process-max=${processes}, archive-check off, posix repository`,
    prepare: async () => {
      await mkdir(restored);
      await writeFile(join(round.outside, 'pgbackrest.conf'), configure(server, round));
      await giveToPeerUser(round.outside);
      await runCommand(pgbackrest('stanza-create'));
    },
    backup: pgbackrest('--type=full', 'backup'),
    restore: {
      command: pgbackrest(`--pg1-path=${join(round.inside, 'restored')}`, 'restore'),
      directory: restored,
    },
    measureStoredBytes: () => measureDirectoryBytes(join(round.outside, 'repository')),
  };
}

function configure(server: BenchServer, round: RoundDirectory): string {
  const lines = {
    global: {
      'repo1-path': join(round.inside, 'repository'),
      'repo1-cipher-type': 'aes-256-cbc',
      'repo1-cipher-pass': randomBytes(32).toString('base64'),
      'repo1-bundle': 'y',
      'repo1-block': 'y',
      'compress-type': 'zst',
      'compress-level': '1',
      'process-max': String(processes),
      'lock-path': join(round.inside, 'lock'),
      'log-level-file': 'off',
      'log-level-console': 'off',
      'log-level-stderr': 'warn',
    },
    'global:backup': { 'archive-check': 'n', 'start-fast': 'y' },
    [stanza]: {
      'pg1-path': join(server.workplace.inside, 'data'),
      'pg1-socket-path': join(server.workplace.inside, 's'),
      'pg1-port': String(server.port),
      'pg1-user': 'postgres',
    },
  };
  return Object.entries(lines)
    .map(([section, options]) => [`[${section}]`, ...Object.entries(options).map((pair) => pair.join('='))].join('\n'))
    .join('\n');
}
