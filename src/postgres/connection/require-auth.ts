import { invalidString } from './invalid-string.ts';

/** The methods by libpq's names. 'none' stands for a server that asks for nothing. */
const METHODS = ['password', 'md5', 'gss', 'sspi', 'scram-sha-256', 'oauth', 'none'] as const;

export type AuthenticationMethod = (typeof METHODS)[number];

/** Which methods a server may use to have us prove who we are. */
export interface AuthenticationRule {
  readonly text: string;
  allows(method: AuthenticationMethod): boolean;
}

/**
 * Reads `require_auth`.
 *
 * Shape:  methods separated by commas, all of them or none with '!' before it, none twice.
 * Errors: PG_CONNECTION_STRING_INVALID.
 * Source: PostgreSQL manual, "Parameter Key Words".
 */
export function parseRequireAuth(text: string): AuthenticationRule {
  const entries = text.split(',');
  const isNegated = text.startsWith('!');
  const named = new Set<AuthenticationMethod>();
  for (const entry of entries) {
    if (entry.startsWith('!') !== isNegated) {
      throw invalidString('Expected the methods of require_auth either all with "!" or all without.');
    }
    const method = METHODS.find((known) => known === entry.replace(/^!/, ''));
    if (method === undefined)
      throw invalidString(`Expected the methods of require_auth to be among ${METHODS.join(', ')}.`);
    if (named.has(method)) throw invalidString(`The method "${method}" stands twice in require_auth.`);
    named.add(method);
  }
  return { text, allows: (method) => named.has(method) !== isNegated };
}
