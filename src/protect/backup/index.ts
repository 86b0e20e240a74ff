/**
 * A base backup of a running server, from its first byte to a committed snapshot.
 *
 * Nouns. *Stage*: one step of the recipe in `run-backup.ts`, a file in `stages/`. *Assembler*: what cuts files into chunks and builds their
 * maps. *Away*: of a snapshot, that copies list it and the primary does not, because it could not be reached; *home*: the primary. It takes no decision about how long a snapshot stays, and reads nothing from the server's disk.
 */

export { type BroughtHome, bringHome } from './bring-home.ts';
export { checksumFailuresOf } from './checksum-failures.ts';
export {
  type CollectedConfiguration,
  type ConfigurationDifference,
  type ConfigurationGap,
  collectConfiguration,
  compareConfigurations,
  configurationGrants,
  isChangedSetting,
  keptFrom,
  readConfiguration,
  redactSetting,
  type Setting,
} from './configuration/index.ts';
export {
  type CrossCheck,
  compareSnapshots,
  describeFinding,
  type Finding,
  FindingList,
  type Findings,
  findingsFacts,
  forkOfFile,
  readFindings,
  recordDoubt,
} from './cross-check/index.ts';
export { Doubts, readDoubts } from './doubts.ts';
export { whyNoBlockNumbersOf } from './file-size.ts';
export { findSnapshotsAway, type SnapshotAway } from './find-away.ts';
export { type ReadingDone, readingOf } from './reading-done.ts';
export { type BackupOptions, type BackupResult, runBackup } from './run-backup.ts';
export type { CastDoubt } from './stages/cast-doubt.ts';
export type { BackupType } from './stages/choose-reading.ts';
export { tagsOf } from './tags.ts';
export { takenInOf } from './taken-in.ts';
