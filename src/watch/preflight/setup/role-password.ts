import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileIfThere, replaceFile } from './replace-file.ts';

/** As many rounds as the server itself takes by default. */
const ITERATIONS = 4096;
const SALT_BYTES = 16;
/** 192 bits: nobody types it. */
const PASSWORD_BYTES = 24;

/** Draws a password out of letters, digits, `-` and `_`. */
export function drawPassword(): string {
  return randomBytes(PASSWORD_BYTES).toString('base64url');
}

/**
 * What the server keeps of a password, so that the password itself is in no statement and in no log of the server.
 *
 * Shape:  `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, in base64.
 * Source: RFC 5803; PostgreSQL's scram-common.c, scram_build_secret. For all but exotic passwords NFKC is what SASLprep gives.
 */
export function scramVerifier(password: string, salt: Uint8Array = randomBytes(SALT_BYTES)): string {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, ITERATIONS, 32, 'sha256');
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest();
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${Buffer.from(salt).toString('base64')}$${storedKey}:${keyOf('Server Key').toString('base64')}`;
}

/** Whose password a line of a password file holds. */
export interface PasswordLine {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/**
 * Writes the password of a role for all databases and for replication into a password file of libpq, in the place of a line for the same server and
 * role; other lines stay. Its owner alone may read it. Errors: SETUP_FILE_UNREADABLE, SETUP_FILE_UNWRITABLE.
 */
export async function writePassword(path: string, line: PasswordLine, password: string): Promise<void> {
  const masked = (text: string) => text.replaceAll(/[\\:]/g, '\\$&');
  const key = `${masked(line.host)}:${line.port}:*:${masked(line.user)}:`;
  const others = (await readFileIfThere(path)).split('\n').filter((each) => each !== '' && !each.startsWith(key));
  await replaceFile(path, `${[`${key}${masked(password)}`, ...others].join('\n')}\n`, 'secret');
}
