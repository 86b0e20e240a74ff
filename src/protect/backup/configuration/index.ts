/**
 * A server's configuration as it was at a backup: its settings, and the files that they come from, wherever these lie.
 *
 * Nouns. *Setting*: a row of `pg_settings`. *Configuration file*: `postgresql.conf`, `pg_hba.conf`, `pg_ident.conf`, and whatever they include.
 * *Gap*: something of it that could not be kept, with the reason and what would mend it.
 *
 * What is kept is kept whole, secrets too, as the repository is encrypted and a restored server needs them; what is shown is redacted first.
 * A configuration that cannot be read never makes a backup fail. Nothing here is written into a restored data directory.
 */

export { collectConfiguration, type ReceivedConfiguration } from './collect-configuration.ts';
export { type ConfigurationDifference, compareConfigurations, type FileDifference } from './compare-configurations.ts';
export {
  type CollectedConfiguration,
  type ConfigurationFile,
  type ConfigurationFileKind,
  type ConfigurationGap,
  type FileSetting,
  SETTINGS_PATH,
  type Setting,
} from './configuration.ts';
export { configurationGrants } from './grants.ts';
export { isChangedSetting, redactLine, redactSetting } from './redact.ts';
export {
  describeKept,
  encodeSettings,
  type KeptConfiguration,
  keptFrom,
  readConfiguration,
} from './stored-configuration.ts';
