/**
 * The public library: the same engine functions that the commands call.
 *
 *     import { openRepository, openStore, runBackup, systemClock } from 'holdfast';
 *
 * Everything that takes time takes a `Clock`, and most of it a `Progress` and an `AbortSignal`; nothing here prints.
 */
export {
  type Clock,
  HoldfastError,
  type Progress,
  type ProgressUnit,
  Secret,
  silentProgress,
  systemClock,
} from './lib/index.ts';
export {
  definePlan,
  type LoadOptions,
  lineOf,
  loadPlan,
  type Plan,
  PlanError,
  planJsonSchema,
  type ResolvedPlan,
} from './plan/index.ts';
export {
  type ConnectionEnvironment,
  ConnectionTarget,
  formatLsn,
  parseConnectionString,
  parseLsn,
} from './postgres/index.ts';
export {
  type BackupOptions,
  type BackupResult,
  type CollectedConfiguration,
  type ConfigurationDifference,
  compareConfigurations,
  readConfiguration,
  runBackup,
} from './protect/backup/index.ts';
export {
  addKey,
  checkKit,
  createRepository,
  type KeyChange,
  type KitOptions,
  makeKit,
  readKit,
  removeKey,
  renewEpoch,
  rotateKey,
} from './protect/keys/index.ts';
export {
  addHold,
  applyPolicy,
  type Decision,
  describeExpiry,
  type ExpiryReport,
  gatherRetentionFacts,
  type PolicyInput,
  type RetentionFacts,
  type RetentionRules,
  removeHold,
} from './protect/retention/index.ts';
export {
  fetchWalFile,
  readWalInventory,
  receiveWal,
  type WalEvent,
  type WalFetchOptions,
  type WalFetchResult,
  type WalInventory,
  type WalReceiverOptions,
  type WalReceiverResult,
} from './protect/wal/index.ts';
export { type VerificationResult, type VerifyOptions, verifySnapshots } from './prove/index.ts';
export {
  type Attestation,
  type Credential,
  generateKeyFile,
  type Hold,
  initRepository,
  listHolds,
  listSlots,
  type NewKey,
  type ObjectStore,
  openRepository,
  openStore,
  type Repository,
  type SnapshotRecord,
} from './repository/index.ts';
export {
  formatRecoveryTarget,
  parseRecoveryTarget,
  prepareRestore,
  type RecoveryTarget,
  type RestoreOptions,
  type RestoreProposal,
  type RestoreResult,
  runRestore,
} from './restore/index.ts';
export { type ProtectionStatus, readStatus, type StatusOptions } from './watch/index.ts';
