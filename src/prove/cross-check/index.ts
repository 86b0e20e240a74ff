/**
 * Two backups of one server held against each other (rule A9): by what the repository has of them, or as two servers that replayed to one position.
 *
 * Nouns: the *older* snapshot is the one that is tried, mostly an increment; the *newer* one is what it is tried by. It restores into places of its own
 * and removes them again. The rules of the comparison are in `docs/cross-checks.md`.
 */
export { type ComparisonPair, chooseComparison } from './choose-comparison.ts';
export { type CrossCheckResult, crossCheck } from './run-cross-check.ts';
