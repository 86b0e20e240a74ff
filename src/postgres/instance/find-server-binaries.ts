import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { HoldfastError } from '../../lib/index.ts';
import { parseServerVersion, type ServerVersion } from '../server-version.ts';

const run = promisify(execFile);

/** Where programs of a server lie, and which version they are. */
export interface ServerBinaries {
  readonly binDirectory: string;
  readonly version: ServerVersion;
}

/** Where to look. */
export interface ServerBinaryHints {
  /** Looked into first, in this order: what the user named. */
  readonly directories?: readonly string[];
  /** The PATH to search; that of the process when not given. */
  readonly path?: string;
}

/** `postgres --version` and `pg_config` answer at once, or something is wrong with them. */
const ANSWER_WAIT_MS = 10_000;

/**
 * Finds a server of the given major version: in the named directories, on the PATH, where `pg_config` points, and where
 * packages of Debian, Red Hat and Homebrew put it. Only a server of the same major version can open a data directory.
 *
 * Errors: PG_SERVER_BINARIES_NOT_FOUND, with the places that were looked into.
 */
export async function findServerBinaries(major: number, hints: ServerBinaryHints = {}): Promise<ServerBinaries> {
  const onPath = (hints.path ?? process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '');
  const candidates = [
    ...(hints.directories ?? []),
    ...onPath,
    ...(await directoryOfPgConfig(onPath)),
    `/usr/lib/postgresql/${major}/bin`,
    `/usr/pgsql-${major}/bin`,
    `/opt/homebrew/opt/postgresql@${major}/bin`,
    `/usr/local/opt/postgresql@${major}/bin`,
  ];
  const found: string[] = [];
  for (const binDirectory of new Set(candidates)) {
    const version = await versionIn(binDirectory);
    if (version === undefined) continue;
    if (version.major === major) return { binDirectory, version };
    found.push(`${version.text} in "${binDirectory}"`);
  }
  // Who named a place wants to hear of that one, not of others that were tried after it.
  const without = (hints.directories ?? []).filter(
    (directory) => !found.some((each) => each.endsWith(` in "${directory}"`)),
  );
  const named = without.map((directory) => `There is none in "${directory}". `).join('');
  throw new HoldfastError('PG_SERVER_BINARIES_NOT_FOUND', `cannot find the server programs of PostgreSQL ${major}`, {
    detail:
      found.length === 0
        ? `${named}Looked for "postgres" on the PATH and in the usual places, such as /usr/lib/postgresql/${major}/bin.`
        : `${named}Expected PostgreSQL ${major}, found ${found.join(', ')}.`,
    hints: [
      `Install the server of PostgreSQL ${major} (Debian: postgresql-${major}), or name the directory of its programs (--bin-dir).`,
    ],
  });
}

async function versionIn(directory: string): Promise<ServerVersion | undefined> {
  const program = join(directory, 'postgres');
  try {
    await access(program, constants.X_OK);
    const { stdout } = await run(program, ['--version'], { timeout: ANSWER_WAIT_MS });
    return parseServerVersion(stdout);
  } catch {
    // Safe: a place without a server that can be run is passed over, and the last error names what was missing.
    return undefined;
  }
}

async function directoryOfPgConfig(path: readonly string[]): Promise<string[]> {
  try {
    const { stdout } = await run('pg_config', ['--bindir'], {
      timeout: ANSWER_WAIT_MS,
      env: { PATH: path.join(delimiter) },
    });
    return [stdout.trim()];
  } catch {
    // Safe: without pg_config the other places are left.
    return [];
  }
}
