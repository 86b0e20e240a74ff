/**
 * Before anything has to be recovered: is all there that a recovery would need, and how does it get there?
 *
 * Nouns: *facts* are what was seen, gathered without changing anything; a *check* is what was found out about one thing; a *mend* is the command that
 * makes a finding go away; the *set-up* brings a server to where WAL and backups can leave it, and is done when they have.
 *
 * Judging is pure: facts in, checks out. The doctor mends nothing; the set-up changes a server only by what its proposal said.
 */
export type { Area, Check, Mend, Verdict } from './check.ts';
export { type DoctorOptions, type DoctorReport, runDoctor } from './run-doctor.ts';
export * from './setup/index.ts';
