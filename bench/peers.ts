import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory, createOnce } from '../test/support/postgres-binaries.ts';
import { unpackDebianRoot } from './debian-packages.ts';

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
 * Errors: those of `unpackDebianRoot`; any other when a program does not start.
 */
export async function fetchPeers(): Promise<Peers> {
  const directory = await createOnce(join(await cacheDirectory(), cacheName), async (unfinished) => {
    await unpackDebianRoot({
      suite: 'forky',
      // dash is essential in Debian, so that nothing depends on it by name; initdb starts its server through it.
      packages: ['pgbackrest', 'postgresql-18', 'postgresql-client-18', 'dash'],
      without: ['systemd', 'udev', 'perl-modules', 'dbus'],
      directory: unfinished,
    });
    for (const path of ['apt', 'debs']) await rm(join(unfinished, path), { recursive: true });
  });
  const root = join(directory, 'root');
  const postgres = await readVersion(root, `${postgresBin}/postgres`, ['--version']);
  const pgbackrest = await readVersion(root, '/usr/bin/pgbackrest', ['version']);
  return { root, postgresBin, postgresVersion: postgres, pgbackrestVersion: pgbackrest };
}

async function readVersion(root: string, program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('chroot', [`--userspec=${peerUser}`, root, program, ...args]);
  const version = /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`cannot read the version of "${program}" from: ${stdout}`);
  return version;
}
