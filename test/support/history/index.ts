/**
 * A random history of a cluster, and what must be found when it is restored to any of its moments.
 *
 * Nouns. An *effect* is what a transaction changes once committed; the *model* applies effects in the order in which PostgreSQL's own extension
 * pg_walinspect finds the commits in the WAL; a *branch* is one history of the cluster, which parts from another at a promotion; a *point* is
 * a moment on a branch. No code of Holdfast has a part in what is expected.
 */
export { compareWithExpected } from './compare.ts';
export { type Branch, type History, makeHistory } from './history.ts';
export { foldRecords } from './model.ts';
export { choosePoints, describePoint, type Point } from './targets.ts';
