import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory, createOnce, type PostgresBinaries } from './postgres-binaries.ts';
import { nobody, runsAsRoot } from './scratch.ts';
import { renewSystemIdentifier } from './system-identifier.ts';

const run = promisify(execFile);

/** Whom a fresh cluster knows: the superuser, and a role with just the rights that a backup needs. */
export interface ClusterPasswords {
  postgres: string;
  backup: string;
}

/** What a server's programs see of our environment: nothing that could change what they do. */
export const serverEnvironment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** Runs a server's program as a user whom PostgreSQL accepts. */
export const serverUser = runsAsRoot ? nobody : {};

/**
 * Makes a cluster in `dataDirectory`, which must not exist: checksums, SCRAM on every road in, roles `postgres` and
 * `backup`, a system identifier of its own.
 *
 * initdb takes half a second of a core, so its result is kept in the cache for each version and set of arguments, and
 * copied.
 */
export async function createCluster(
  binaries: PostgresBinaries,
  initdbArguments: readonly string[],
  dataDirectory: string,
): Promise<void> {
  const key = createHash('sha256')
    .update(JSON.stringify([templateFormat, initdbArguments]))
    .digest('hex')
    .slice(0, 16);
  const cache = join(await cacheDirectory(), `template-${binaries.major}-${binaries.version}-${key}`);
  const template = await createOnce(cache, (unfinished) => fillTemplate(binaries, initdbArguments, unfinished));
  await mkdir(dirname(dataDirectory), { recursive: true });
  await run('cp', ['-a', join(template, 'data'), dataDirectory]);
  await renewSystemIdentifier(dataDirectory);
}

/**
 * The passwords of every cluster made here, drawn once for each cache: a copy or a restore of one is entered with them
 * as well. Nobody else may read them, as the superuser can run commands with the rights of the server's user.
 */
export async function clusterPasswords(): Promise<ClusterPasswords> {
  const file = await createOnce(join(await cacheDirectory(), 'passwords.json'), (unfinished) => {
    const drawn: ClusterPasswords = {
      postgres: randomBytes(12).toString('hex'),
      backup: randomBytes(12).toString('hex'),
    };
    return writeFile(unfinished, JSON.stringify(drawn), { mode: 0o600 });
  });
  return JSON.parse(await readFile(file, 'utf8')) as ClusterPasswords;
}

/** Counts up when the content of a template changes, so that older ones are left alone. */
const templateFormat = 1;

async function fillTemplate(
  binaries: PostgresBinaries,
  initdbArguments: readonly string[],
  directory: string,
): Promise<void> {
  const passwords = await clusterPasswords();
  await mkdir(directory, { mode: 0o755 });
  const data = join(directory, 'data');
  await mkdir(data, { mode: 0o700 });
  const passwordFile = join(directory, 'initdb-password');
  await writeFile(passwordFile, passwords.postgres, { mode: 0o600 });
  if (runsAsRoot) for (const path of [data, passwordFile]) await chown(path, nobody.uid, nobody.gid);
  await run(
    join(binaries.binDirectory, 'initdb'),
    [
      ...['--pgdata', data, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ...['--data-checksums', '--encoding=UTF8', '--no-locale', '--no-sync', '--no-instructions', ...initdbArguments],
    ],
    { ...serverUser, env: serverEnvironment, cwd: '/' },
  );
  await rm(passwordFile);
  await createBackupRole(binaries, data, passwords.backup);
}

/** In single-user mode, which needs no port and leaves a cleanly stopped cluster. */
async function createBackupRole(binaries: PostgresBinaries, data: string, password: string): Promise<void> {
  const single = spawn(join(binaries.binDirectory, 'postgres'), ['--single', '-j', '-D', data, 'postgres'], {
    ...serverUser,
    env: serverEnvironment,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let messages = '';
  single.stderr.on('data', (chunk: Buffer) => {
    messages += chunk.toString('utf8');
  });
  // With -j a statement ends at a semicolon before an empty line.
  single.stdin.end(`CREATE ROLE backup LOGIN REPLICATION PASSWORD '${password}';\n\nGRANT pg_monitor TO backup;\n\n`);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    single.once('error', reject);
    single.once('close', resolve);
  });
  if (exitCode !== 0 || /^.*(ERROR|FATAL|PANIC):/m.test(messages)) {
    throw new Error(`could not create the role "backup" in a template:\n${messages}`);
  }
}
