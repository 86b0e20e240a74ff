/**
 * Does a place keep what every object of a repository is built on? Tried with two small objects, which are removed again.
 *
 * Nouns. *Promise*: what a store has to keep (create-once, list-after-write, …) or may offer (versions, locks). *Finding*: what became of one promise,
 * found and expected. *Unfit*: not to be the primary place of a repository, with the error that says why.
 *
 * It tries, and judges for one question only: may a repository live there. Whoever else judges reads the findings.
 */
export { STORE_CLOCK_OFFSET_MS_MAX } from './clock-offset.ts';
export * from './findings.ts';
export { isPermitted } from './listed-probes.ts';
export { drawProbeName, PROBE_PREFIX } from './probe-name.ts';
export * from './probe-store.ts';
export * from './unfit-store.ts';
