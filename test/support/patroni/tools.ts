import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unpackDebianPackages, whyNotDebian, writeLauncher } from '../debian-packages.ts';
import { cacheDirectory, createOnce, preparePostgresBinaries } from '../postgres-binaries.ts';
import { runsAsRoot } from '../scratch.ts';

/** Patroni and etcd out of Debian forky, each a program that can be started by its path, and PostgreSQL as Patroni wants it. */
export interface PatroniTools {
  readonly version: string;
  readonly patroni: string;
  readonly patronictl: string;
  readonly etcd: string;
  /** The server of the toolchain with the client tools of Debian, of PostgreSQL 18. */
  readonly binDirectory: string;
}

/** Which programs of the server Patroni calls, and which of its clients. */
const serverPrograms = ['initdb', 'pg_ctl', 'postgres'];
const clientPrograms = ['pg_basebackup', 'pg_controldata', 'pg_isready', 'pg_rewind', 'psql'];

/** Counts up when what is fetched changes, so that an older cache is not taken. */
const cacheName = 'patroni-1';

/**
 * The reason to skip what needs Patroni, or `false` where it is there or can be fetched. Machines are made of process namespaces, which
 * takes root. As root on Debian what is missing is never a reason to skip: then `fetchPatroniTools` fails, and the test with it.
 */
export function whyNoPatroni(): string | false {
  if (whyNotDebian() === null && runsAsRoot) return false;
  const reason = 'Patroni is fetched from Debian and its machines are namespaces: run this as root on Debian';
  process.stderr.write(`NOT TRIED WITH PATRONI: ${reason}\n`);
  return reason;
}

/** The tools, fetched into the cache when this is the first time (about 40 MB). */
export async function fetchPatroniTools(): Promise<PatroniTools> {
  const directory = await createOnce(join(await cacheDirectory(), cacheName), async (unfinished) => {
    await mkdir(unfinished);
    await unpackDebianPackages({
      suite: 'forky',
      packages: [
        'patroni',
        'python3-etcd',
        'python3-dnspython',
        'python3-psycopg2',
        'etcd-server',
        'postgresql-client-18',
      ],
      // Brings pg_controldata and pg_rewind; what else it depends on is for the server.
      alone: ['postgresql-18'],
      without: [
        'perl',
        'libperl',
        'libgdbm',
        'libdb5',
        'libc-gconv',
        'netbase',
        'gcc-',
        'systemd',
        'libsystemd-shared',
      ],
      directory: join(unfinished, 'root'),
    });
    await writeLaunchers(unfinished);
  });
  const path = (name: string) => join(directory, 'bin', name);
  const { stdout } = await promisify(execFile)(path('patroni'), ['--version']);
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`"${path('patroni')}" does not say its version: ${stdout}`);
  return {
    version,
    patroni: path('patroni'),
    patronictl: path('patronictl'),
    etcd: path('etcd'),
    binDirectory: path('postgresql'),
  };
}

/** Python finds its library by PYTHONHOME, and itself, for the processes that Patroni starts of it, by the name that it is called by. */
async function writeLaunchers(directory: string): Promise<void> {
  const bin = join(directory, 'bin');
  await mkdir(bin);
  await writeLauncher(join(directory, 'root'), 'usr/bin/python3', join(bin, 'python3'));
  await writeLauncher(join(directory, 'root'), 'usr/bin/etcd', join(bin, 'etcd'));
  const { binDirectory } = await preparePostgresBinaries(18);
  await mkdir(join(bin, 'postgresql'));
  for (const name of serverPrograms) await symlink(join(binDirectory, name), join(bin, 'postgresql', name));
  for (const name of clientPrograms) {
    await writeLauncher(join(directory, 'root'), `usr/lib/postgresql/18/bin/${name}`, join(bin, 'postgresql', name));
  }
  for (const name of ['patroni', 'patronictl']) {
    const lines = [
      '#!/bin/sh',
      `here=$(dirname "$0")`,
      `export PYTHONHOME="$here/../root/usr" PYTHONDONTWRITEBYTECODE=1`,
      `exec "$here/python3" "$here/../root/usr/bin/${name}" "$@"`,
    ];
    await writeFile(join(bin, name), `${lines.join('\n')}\n`, { mode: 0o755 });
  }
  // Debian does so when it installs them; without it each start takes many seconds.
  const environment = { PYTHONHOME: join(directory, 'root/usr') };
  const library = join(directory, 'root/usr/lib');
  await promisify(execFile)(join(bin, 'python3'), ['-m', 'compileall', '-q', library], { env: environment });
}
