/**
 * `database setup`: brings a server to where base backups and WAL can leave it, and sees that they do.
 *
 * Nouns: a *wish* is what somebody asked for; a *proposal* is what is missing for that, made from facts; a *step* is one change of it; *arrival* is a
 * switched segment that lies in the repository. It restarts no server unless it is given the command for that.
 */
export { type ArchiveCommandParts, formatArchiveCommand } from './archive-command.ts';
export { drawPassword } from './role-password.ts';
export {
  executeSetup,
  listStatements,
  type PreparedSetup,
  prepareSetup,
  type SetupGoal,
  type SetupOptions,
  type SetupResult,
} from './run-setup.ts';
export type { RolePassword, RoleWish, SettingStep, SetupProposal, SetupWish } from './setup-facts.ts';
