import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { unpackDebianPackages, whyNotDebian, writeLauncher } from './debian-packages.ts';
import { cacheDirectory, createOnce } from './postgres-binaries.ts';

/**
 * PostgreSQL's own client tools, which judge what we restore and archive: no code of ours has a part in their answer.
 *
 * They are Debian forky's, of PostgreSQL 18. The embedded servers have none of them.
 */
export const refereePrograms = [
  'pg_amcheck',
  'pg_basebackup',
  'pg_checksums',
  'pg_combinebackup',
  'pg_controldata',
  'pg_receivewal',
  'pg_verifybackup',
  'pg_waldump',
  'psql',
] as const;

export type RefereeProgram = (typeof refereePrograms)[number];

/** How a tool ended, and all that it said. */
export interface Verdict {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The tools, each a program that can be started by its path. */
export interface RefereeTools {
  readonly version: string;
  readonly binDirectory: string;
  path(program: RefereeProgram): string;
  /** Runs a tool to its end, whatever that is. */
  run(program: RefereeProgram, args: readonly string[], environment?: Record<string, string>): Promise<Verdict>;
}

/** Where packages for people put them on systems that are not Debian, or were put on it before. */
const installedDirectories = [
  '/usr/lib/postgresql/18/bin',
  '/usr/pgsql-18/bin',
  '/opt/homebrew/opt/postgresql@18/bin',
  ...(process.env.PATH ?? '').split(delimiter),
];

/** Counts up when what is fetched changes, so that an older cache is not taken. */
const cacheName = 'referees-18-2';
/** pg_waldump prints a line for each record. */
const outputBytesMax = 512 * 1024 * 1024;

/**
 * The reason to skip what needs the tools, or `false` where they are there or can be fetched. Where Debian's packages can be unpacked a
 * missing tool is never a reason to skip: then `fetchRefereeTools` fails, and the test with it.
 */
export function whyNoReferees(): string | false {
  if (whyNotDebian() === null || findInstalled() !== undefined) return false;
  const reason = 'the client tools of PostgreSQL 18 are missing: install them (macOS: brew install postgresql@18)';
  process.stderr.write(`NOT JUDGED BY POSTGRESQL'S OWN TOOLS: ${reason}\n`);
  return reason;
}

/**
 * The tools, fetched into the cache when this is the first time (about 20 MB).
 *
 * Errors: those of `unpackDebianPackages`; any other when a tool does not start.
 */
export async function fetchRefereeTools(): Promise<RefereeTools> {
  const binDirectory = whyNotDebian() === null ? await fetchFromDebian() : findInstalled();
  if (binDirectory === undefined) throw new Error('the client tools of PostgreSQL 18 are missing');
  const path = (program: RefereeProgram) => join(binDirectory, program);
  const run = (program: RefereeProgram, args: readonly string[], environment: Record<string, string> = {}) =>
    runTool(path(program), args, environment);
  const { stdout } = await run('pg_verifybackup', ['--version']);
  const version = /\b18\.\d+/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`"${path('pg_verifybackup')}" is not of PostgreSQL 18: ${stdout}`);
  return { version, binDirectory, path, run };
}

function findInstalled(): string | undefined {
  return installedDirectories.find((directory) => refereePrograms.every((name) => existsSync(join(directory, name))));
}

async function fetchFromDebian(): Promise<string> {
  const directory = await createOnce(join(await cacheDirectory(), cacheName), async (unfinished) => {
    await mkdir(unfinished);
    await unpackDebianPackages({
      suite: 'forky',
      packages: ['postgresql-client-18'],
      // Brings pg_checksums, pg_controldata and pg_waldump; what else it depends on is for the server.
      alone: ['postgresql-18'],
      without: ['perl', 'libperl', 'libgdbm', 'libdb5', 'libc-gconv', 'netbase', 'sensible-utils', 'gcc-'],
      directory: join(unfinished, 'root'),
    });
    await writeLaunchers(unfinished);
  });
  return join(directory, 'bin');
}

/** A tool that starts another one, as pg_verifybackup does, finds it beside itself. */
async function writeLaunchers(directory: string): Promise<void> {
  await mkdir(join(directory, 'bin'));
  for (const program of refereePrograms) {
    const path = join(directory, 'bin', program);
    await writeLauncher(join(directory, 'root'), `usr/lib/postgresql/18/bin/${program}`, path);
  }
}

function runTool(path: string, args: readonly string[], environment: Record<string, string>): Promise<Verdict> {
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...environment };
  return new Promise((resolve, reject) => {
    execFile(path, [...args], { env, maxBuffer: outputBytesMax }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === 'number') resolve({ code, stdout, stderr });
      else reject(error);
    });
  });
}
