import { HoldfastError } from '../lib/index.ts';

/** The oldest and the newest major version that this package speaks with. */
export const SERVER_MAJOR_MIN = 14;
export const SERVER_MAJOR_MAX = 18;

/** A released version of the server, `minor` counted since version 10 as the second and last part. */
export interface ServerVersion {
  readonly major: number;
  readonly minor: number;
  /** As the server printed it, for example '18.4 (Debian 18.4-1)' or '19devel'. */
  readonly text: string;
}

/**
 * Reads the `server_version` parameter, or the line that `postgres --version` prints.
 * Errors: PG_VERSION_INVALID when there is no number in it.
 */
export function parseServerVersion(text: string): ServerVersion {
  const match = /(?:^|\s)([0-9]{1,4})(?:\.([0-9]{1,4}))?/.exec(text);
  if (match === null) {
    throw new HoldfastError('PG_VERSION_INVALID', `invalid PostgreSQL version "${text.trim()}"`, {
      detail: 'Expected a number such as 18.4 at the beginning.',
    });
  }
  return { major: Number(match[1]), minor: Number(match[2] ?? 0), text: text.trim() };
}

/** Refuses a server that was never tried. Errors: PG_VERSION_UNSUPPORTED. */
export function checkServerVersion(version: ServerVersion): void {
  if (version.major >= SERVER_MAJOR_MIN && version.major <= SERVER_MAJOR_MAX) return;
  throw new HoldfastError('PG_VERSION_UNSUPPORTED', `cannot work with PostgreSQL ${version.text}`, {
    detail: `Expected a major version from ${SERVER_MAJOR_MIN} to ${SERVER_MAJOR_MAX}, found ${version.major}.`,
  });
}
