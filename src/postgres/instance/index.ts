/**
 * A throw-away server on a restored data directory.
 *
 * Nouns: an *instance* is one running server of ours; *isolation* is what keeps it from harm and from doing any: its own
 * configuration, a private Unix socket and nothing else, no archiving, no replication, no preloaded libraries; the *recovery
 * log* is what it says while it replays WAL.
 * It does not restore files, choose a recovery target or judge the data.
 */
export { findServerBinaries, type ServerBinaries, type ServerBinaryHints } from './find-server-binaries.ts';
export {
  type EndOfRecovery,
  type Instance,
  type InstanceExit,
  type InstanceOptions,
  startInstance,
} from './instance.ts';
export { highestSettings } from './isolation.ts';
export { parseRecoveryLog, type RecoveryReport } from './recovery-log.ts';
export { whyServerMayRun, whyTablespaceInUse } from './running-server.ts';
export { putBackConfiguration } from './set-aside.ts';
