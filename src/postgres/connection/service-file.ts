import { existsSync, readFileSync } from 'node:fs';
import { codeOf, HoldfastError } from '../../lib/index.ts';

/** Where packages of PostgreSQL were built to look: Debian's, Red Hat's, the sources' own. PGSYSCONFDIR stands in for all of them. */
const SYSTEM_DIRECTORIES = ['/etc/postgresql-common', '/etc/sysconfig/pgsql', '/usr/local/pgsql/etc'];

export interface ServicePlaces {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly homeDirectory: string;
}

/**
 * Finds what a service file says of a service: in PGSERVICEFILE or ~/.pg_service.conf, else in pg_service.conf of the system.
 *
 * Errors: PG_SERVICE_NOT_FOUND, PG_SERVICE_FILE_INVALID.
 * Source: PostgreSQL manual, "The Connection Service File".
 */
export function readService(name: string, { variables, homeDirectory }: ServicePlaces): Map<string, string> {
  const named = variables.PGSERVICEFILE || undefined;
  const own = named ?? `${homeDirectory}/.pg_service.conf`;
  const systemDirectories = variables.PGSYSCONFDIR ? [variables.PGSYSCONFDIR] : SYSTEM_DIRECTORIES;
  const files = [own, ...systemDirectories.map((directory) => `${directory}/pg_service.conf`)];
  for (const file of files) {
    // A file that was named is expected to be there.
    if (file !== named && !existsSync(file)) continue;
    const found = findService(readText(file), name, file);
    if (found !== undefined) return found;
  }
  throw new HoldfastError('PG_SERVICE_NOT_FOUND', `cannot find the service "${name}"`, {
    detail: `It was looked for in ${files.map((file) => `"${file}"`).join(', ')}.`,
    hints: [`Add a section [${name}] to one of them, or name another file in PGSERVICEFILE.`],
  });
}

/**
 * Finds a section in the text of a service file; the first line of a name counts.
 *
 * Shape:  '[' name ']' · lines of name=value without quotes · lines that begin with '#' and empty ones mean nothing.
 * Errors: PG_SERVICE_FILE_INVALID. Values are never quoted: one may be a password.
 */
export function findService(text: string, name: string, file: string): Map<string, string> | undefined {
  let values: Map<string, string> | undefined;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (values !== undefined) return values;
      if (line === `[${name}]`) values = new Map();
      continue;
    }
    if (values === undefined) continue;
    const place = `line ${index + 1} of the service file "${file}"`;
    if (/^ldaps?:\/\//i.test(line))
      throw invalidFile(`Found an address of LDAP in ${place}, which is not looked up here.`);
    const equals = line.indexOf('=');
    if (equals < 1) throw invalidFile(`Expected name=value in ${place}.`);
    const key = line.slice(0, equals);
    if (key === 'service') throw invalidFile(`Found a service within a service in ${place}.`);
    if (!values.has(key)) values.set(key, line.slice(equals + 1));
  }
  return values;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new HoldfastError('PG_SERVICE_NOT_FOUND', `could not read the service file "${file}"`, {
      detail: `The system said: ${codeOf(error) ?? 'nothing'}.`,
      hints: ['Check PGSERVICEFILE, and who may read the file.'],
      cause: error,
    });
  }
}

function invalidFile(detail: string): HoldfastError {
  return new HoldfastError('PG_SERVICE_FILE_INVALID', 'invalid service file', { detail });
}
