import { execFile } from 'node:child_process';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError } from '../src/lib/index.ts';
import { unpackDebianPackages } from '../test/support/debian-packages.ts';
import { cacheDirectory, createOnce } from '../test/support/postgres-binaries.ts';
import { runsAsRoot } from '../test/support/scratch.ts';

const run = promisify(execFile);

/** The programs that we are measured beside, as Debian ships them, in a directory that `chroot` enters. */
export interface Peers {
  /** The root directory; paths that the programs are given begin here. */
  root: string;
  /** Where PostgreSQL's programs lie inside the root. */
  postgresBin: string;
  postgresVersion: string;
  pgbackrestVersion: string;
}

/** As whom the peers and the server run: PostgreSQL refuses root. */
export const peerUser = '65534:65534';

const postgresBin = '/usr/lib/postgresql/18/bin';
/** Counts up when the list of packages changes, so that an older cache is not taken. */
const cacheName = 'peers-1';

/**
 * Fetches pgBackRest and PostgreSQL 18 from Debian forky into the cache, once, and asks each for its version: what does
 * not start here is found out before anything is measured.
 *
 * Errors: BENCH_NOT_ROOT; those of `unpackDebianPackages`; any other when a program does not start.
 */
export async function fetchPeers(): Promise<Peers> {
  if (!runsAsRoot) {
    throw new HoldfastError('BENCH_NOT_ROOT', 'cannot run the peers on this machine', {
      detail: 'They are run by chroot, which needs root.',
      hints: ['Run the bench as root on Debian, in a container for example.'],
    });
  }
  const directory = await createOnce(join(await cacheDirectory(), cacheName), async (unfinished) => {
    const unpacked = join(unfinished, 'root');
    await mkdir(unfinished);
    await unpackDebianPackages({
      suite: 'forky',
      // dash is essential in Debian, so that nothing depends on it by name; initdb starts its server through it.
      packages: ['pgbackrest', 'postgresql-18', 'postgresql-client-18', 'dash'],
      without: ['systemd', 'udev', 'perl-modules', 'dbus'],
      directory: unpacked,
    });
    await makeEnterable(unpacked);
  });
  const root = join(directory, 'root');
  const postgres = await readVersion(root, `${postgresBin}/postgres`, ['--version']);
  const pgbackrest = await readVersion(root, '/usr/bin/pgbackrest', ['version']);
  return { root, postgresBin, postgresVersion: postgres, pgbackrestVersion: pgbackrest };
}

/** What programs expect to find under a root besides their own files. */
async function makeEnterable(root: string): Promise<void> {
  for (const path of ['dev', 'etc', 'proc', 'tmp']) await mkdir(join(root, path), { recursive: true });
  for (const device of ['null', 'zero', 'random', 'urandom']) {
    await run('cp', ['-a', `/dev/${device}`, join(root, 'dev')]);
  }
  for (const file of ['passwd', 'group']) await copyFile(`/etc/${file}`, join(root, 'etc', file));
}

async function readVersion(root: string, program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('chroot', [`--userspec=${peerUser}`, root, program, ...args]);
  const version = /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`cannot read the version of "${program}" from: ${stdout}`);
  return version;
}
