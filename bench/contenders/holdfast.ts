import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, runCommand } from '../measure.ts';
import type { BenchServer } from '../server.ts';
import type { Contender, RoundDirectory } from './contender.ts';
import { measureDirectoryBytes } from './directories.ts';

const program = fileURLToPath(new URL('../../bin/holdfast', import.meta.url));
const packageFile = fileURLToPath(new URL('../../package.json', import.meta.url));
const cluster = 'bench';

/** Ours, as its users run it: the command line, over the replication protocol, with the WAL that the backup needs. */
export function createHoldfast(server: BenchServer, round: RoundDirectory): Contender {
  if (!existsSync(program)) throw new Error('cannot measure Holdfast: bin/holdfast is missing');
  const repository = join(round.outside, 'repository');
  const restored = join(round.outside, 'restored');
  const keyFile = join(round.outside, 'holdfast.key');
  const env = {
    DATABASE_URL: server.url,
    HOLDFAST_REPOSITORY: repository,
    // What an unattended host uses; a passphrase costs half a second of argon2id at each start.
    HOLDFAST_KEY_FILE: keyFile,
    HOLDFAST_STATE_DIR: join(round.outside, 'state'),
    HOME: round.outside,
    // As a user's later runs have it; the first command of a bench fills it.
    NODE_COMPILE_CACHE: join(server.workplace.outside, 'compiled'),
  };
  const holdfast = (...args: string[]): Command => ({ program, args, env, cwd: round.outside });
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
  return {
    name: 'holdfast',
    version,
    setup: 'BASE_BACKUP over the Unix socket with the WAL it needs, defaults, repository on the same disk',
    prepare: () => runCommand(holdfast('repository', 'init', '--generate-key-file', keyFile)),
    backup: holdfast('backup', '--cluster', cluster, '--checkpoint', 'fast'),
    restore: {
      command: holdfast('restore', '--into', restored, '--cluster', cluster, '--to', 'latest'),
      directory: restored,
    },
    measureStoredBytes: () => measureDirectoryBytes(repository),
  };
}
