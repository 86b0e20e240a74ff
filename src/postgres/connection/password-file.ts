import { readFileSync, statSync } from 'node:fs';

/** What a line of a password file is compared with. `host` is 'localhost' for a Unix socket in the default place. */
export interface PasswordQuestion {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/**
 * Finds the password for a connection in the text of a password file: the first line that fits counts.
 *
 * Shape:  lines of host:port:database:user:password; '*' fits anything; '\:' and '\\' stand for ':' and '\'; '#' begins a comment.
 * Source: PostgreSQL manual, "The Password File".
 */
export function findPassword(text: string, question: PasswordQuestion): string | undefined {
  const wanted = [question.host, String(question.port), question.database, question.user];
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const fields = splitLine(line);
    const fits = wanted.every((value, index) => fields[index] === '*' || undoEscapes(fields[index]) === value);
    if (fields.length === 5 && fits) return undoEscapes(fields[4]);
  }
  return undefined;
}

/**
 * Reads the password file at `path`. A file that others may read is passed over, as libpq does, and so is one that does not
 * exist: the server will say whether a password was needed at all.
 */
export function readPasswordFile(path: string, question: PasswordQuestion): string | undefined {
  let text: string;
  try {
    const status = statSync(path);
    if (!status.isFile() || (status.mode & 0o077) !== 0) return undefined;
    text = readFileSync(path, 'utf8');
  } catch {
    // Safe: without a password file there is no password from it, and the server refuses us if one was needed.
    return undefined;
  }
  return findPassword(text, question);
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

function undoEscapes(field: string | undefined): string | undefined {
  return field?.replaceAll(/\\(.)/g, '$1');
}
