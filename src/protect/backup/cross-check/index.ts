/**
 * Holds what was read of a server against what else is known of it (rule A9).
 *
 * Nouns: a *finding* is a block about which two witnesses do not agree; what a server sent, the WAL, the pages of an older backup. A snapshot is *in
 * doubt* when a finding may concern what it holds. What becomes of the run is decided elsewhere. The rules are in `docs/cross-checks.md`.
 */
export { compareSnapshots } from './compare-snapshots.ts';
export { type CrossCheck, crossCheckIncrement } from './cross-check-increment.ts';
export {
  describeFinding,
  type Finding,
  type FindingKind,
  FindingList,
  type Findings,
  findingsFacts,
} from './finding.ts';
export { forkOfFile } from './fork-of-file.ts';
export { readFindings } from './read-findings.ts';
export { noteFindings, recordDoubt } from './record-doubt.ts';
