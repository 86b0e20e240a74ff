import { readFileSync, statSync } from 'node:fs';
import { codeOf } from '../../lib/index.ts';

/** What a line of a password file is compared with; any of the databases will do. */
export interface PasswordQuestion {
  readonly host: string;
  readonly port: number;
  readonly databases: readonly string[];
  readonly user: string;
}

/** What a file had to say; one that exists and was not used comes with the reason. */
export interface PasswordAnswer {
  readonly password: string | undefined;
  readonly whyFileUnused: string | undefined;
}

/** Where servers put their Unix socket: Debian's and Red Hat's place, then PostgreSQL's own default. */
export const SOCKET_DIRECTORIES = ['/var/run/postgresql', '/tmp'];

/**
 * Finds the password for a connection in the text of a password file: the first line that fits counts.
 *
 * Shape:  lines of host:port:database:user:password; '*' fits anything; '\:' and '\\' stand for ':' and '\'; '#' begins a comment.
 *         A Unix socket in the default directory is called localhost there.
 * Source: PostgreSQL manual, "The Password File".
 */
export function findPassword(text: string, question: PasswordQuestion): string | undefined {
  const host = SOCKET_DIRECTORIES.includes(question.host) ? 'localhost' : question.host;
  const wanted = [[host], [String(question.port)], question.databases, [question.user]];
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const fields = splitLine(line);
    const fits = wanted.every((values, index) => fields[index] === '*' || values.includes(undoEscapes(fields[index])));
    if (fields.length === 5 && fits) return undoEscapes(fields[4]);
  }
  return undefined;
}

/**
 * Reads the password file at `path`. A file that others may read is passed over, as libpq does; one that does not exist is no
 * trouble: the server will say whether a password was needed at all.
 */
export function readPasswordFile(path: string, question: PasswordQuestion): PasswordAnswer {
  const unused = (whyFileUnused: string): PasswordAnswer => ({ password: undefined, whyFileUnused });
  try {
    const status = statSync(path);
    if (!status.isFile()) return unused(`The password file "${path}" was not used: it is not a plain file.`);
    if ((status.mode & 0o077) !== 0) {
      return unused(`The password file "${path}" was not used: others may read it (chmod 0600 mends that).`);
    }
    return { password: findPassword(readFileSync(path, 'utf8'), question), whyFileUnused: undefined };
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return { password: undefined, whyFileUnused: undefined };
    return unused(`The password file "${path}" could not be read (${code ?? 'no reason was given'}).`);
  }
}

/** The five fields, still with their escapes; what follows the fourth colon belongs to the password. */
function splitLine(line: string): string[] {
  const fields: string[] = [''];
  for (let at = 0; at < line.length; at++) {
    const character = line[at] as string;
    if (character === '\\' && at + 1 < line.length) {
      fields[fields.length - 1] += character + line[++at];
    } else if (character === ':' && fields.length < 5) {
      fields.push('');
    } else {
      fields[fields.length - 1] += character;
    }
  }
  return fields;
}

function undoEscapes(field: string | undefined): string {
  return (field ?? '').replaceAll(/\\(.)/g, '$1');
}
