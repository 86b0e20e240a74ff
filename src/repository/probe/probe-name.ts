import { randomBytes } from 'node:crypto';

const PROBE_NAME_BYTES = 16;

/**
 * Begins the names of what a probe stores. Below `volatile/`, where nothing is locked, where every writer may overwrite and delete, and where no
 * reader of a repository looks.
 */
export const PROBE_PREFIX = 'volatile/probe-';

/** A name that nobody has used: the same conditional request then tries create-once as for any other name. */
export function drawProbeName(): string {
  return PROBE_PREFIX + randomBytes(PROBE_NAME_BYTES).toString('hex');
}
