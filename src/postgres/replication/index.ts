/**
 * The commands of the streaming replication protocol, each as one function over a connection opened with
 * `replication: 'physical'`.
 *
 * Nouns: a *base backup* is a file-level copy of the cluster, sent as tar archives; a *slot* is the server's promise to keep
 * WAL until we have it; a *WAL stream* is WAL as it is written; a *status update* tells the server how far we are.
 * Differences between PostgreSQL 14 and 18 end here; nothing here writes to a disk.
 *
 * Source: PostgreSQL manual, "Streaming Replication Protocol".
 */
export {
  type BaseBackupOptions,
  type BaseBackupResult,
  type BaseBackupSink,
  type BaseBackupStart,
  type BaseBackupTablespace,
  PageChecksumError,
  receiveBaseBackup,
} from './base-backup.ts';
export { INCREMENTS_MAJOR_MIN } from './base-backup-command.ts';
export { type IdentifiedSystem, identifySystem } from './identify-system.ts';
export { INCREMENT_PREFIX, IncrementFileReader, type IncrementHead, type IncrementSink } from './increment-file.ts';
export { showSetting } from './show.ts';
export { createPhysicalSlot, dropSlot, readSlot, type SlotPosition } from './slot.ts';
export {
  type Keepalive,
  type ReplicationEnd,
  type StandbyStatus,
  startReplication,
  type WalMessage,
  type WalStream,
  type WalStreamOptions,
} from './start-replication.ts';
export { fetchTimelineHistory } from './timeline-history.ts';
export { type IncrementBase, uploadManifest } from './upload-manifest.ts';
