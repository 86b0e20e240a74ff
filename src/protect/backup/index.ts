/**
 * A base backup of a running server, from its first byte to a committed snapshot.
 *
 * Nouns. *Stage*: one step of the recipe in `run-backup.ts`, a file in `stages/`. *Assembler*: what cuts files into chunks and builds their
 * maps. It takes no decision about how long a snapshot stays, and reads nothing from the server's disk.
 */

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
export { type BackupOptions, type BackupResult, runBackup } from './run-backup.ts';
