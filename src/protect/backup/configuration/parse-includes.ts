import type { ConfigurationFileKind } from './configuration.ts';

/** A word by which one configuration file takes in another. A directory stands for all `*.conf` in it. */
export interface Inclusion {
  readonly path: string;
  readonly kind: ConfigurationFileKind;
  readonly isDirectory: boolean;
  /** False when the server does without it, too. */
  readonly isRequired: boolean;
}

const DIRECTIVES = { include: [false, true], include_if_exists: [false, false], include_dir: [true, true] } as const;

/**
 * The files and directories that a configuration file names, in order, with paths as they stand there.
 *
 * Shape:  `include 'path'` in a file of settings, with or without an equals sign; `include path` in pg_hba.conf and pg_ident.conf from 16 on; `@path` for
 *         a list of names in any of their fields, and in such a list itself.
 * Source: PostgreSQL manual, "Setting Parameters", "The pg_hba.conf File"; guc-file.l, hba.c.
 */
export function listInclusions(kind: ConfigurationFileKind, text: string): Inclusion[] {
  const found: Inclusion[] = [];
  for (const line of joinContinued(text, kind)) {
    const directive = kind === 'names' ? null : readDirective(line);
    if (directive !== null) found.push({ ...directive, kind });
    else if (kind !== 'settings') found.push(...readNameLists(line));
  }
  return found;
}

/** A line of pg_hba.conf goes on behind a backslash. */
function joinContinued(text: string, kind: ConfigurationFileKind): string[] {
  return (kind === 'settings' ? text : text.replaceAll(/\\\r?\n/g, ' ')).split(/\r?\n/);
}

function readDirective(line: string): Omit<Inclusion, 'kind'> | null {
  const match =
    /^\s*(include|include_if_exists|include_dir)\s*(?:=\s*|\s+|(?=['"]))(?:'((?:[^']|'')*)'|"([^"]*)"|([^\s#'"]+))/i.exec(
      line,
    );
  if (match === null) return null;
  const [isDirectory, isRequired] = DIRECTIVES[match[1]!.toLowerCase() as keyof typeof DIRECTIVES];
  const path = (match[2]?.replaceAll("''", "'") ?? match[3] ?? match[4])!;
  return path === '' ? null : { path, isDirectory, isRequired };
}

/** A field that begins with `@` names a file, unless it stands in quotes. Fields are parted by blanks and commas. */
function readNameLists(line: string): Inclusion[] {
  const found: Inclusion[] = [];
  for (const [token] of line.matchAll(/#.*|"(?:[^"]|"")*"|[^\s,"#]+(?:"[^"]*")?/g)) {
    if (token.startsWith('#')) break;
    const path = /^@"?([^"]+)"?$/.exec(token)?.[1];
    if (path !== undefined) found.push({ path, kind: 'names', isDirectory: false, isRequired: true });
  }
  return found;
}
