import { createHash } from 'node:crypto';

/**
 * The answer to PostgreSQL's MD5 password request: 'md5' · hex(md5(hex(md5(password · user)) · salt)).
 * Source: PostgreSQL manual, "Message Flow", AuthenticationMD5Password.
 */
export function md5Password(user: string, password: string, salt: Uint8Array): string {
  const stored = md5(Buffer.from(password + user, 'utf8'));
  return `md5${md5(Buffer.concat([Buffer.from(stored, 'latin1'), salt]))}`;
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}
