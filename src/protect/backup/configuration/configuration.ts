/** What a file of the configuration is read as, which decides how it names further ones. */
export type ConfigurationFileKind = 'settings' | 'hba' | 'ident' | 'names';

/** A row of `pg_settings`. Values are texts, in the setting's own unit. */
export interface Setting {
  readonly name: string;
  readonly setting: string | null;
  readonly unit: string | null;
  /** Where the value comes from: `default`, `configuration file`, `command line` … */
  readonly source: string;
  /** Null for whoever may not see it, and for what no file says. */
  readonly sourceFile: string | null;
  readonly sourceLine: number | null;
  readonly bootValue: string | null;
  readonly pendingRestart: boolean;
}

/** A row of `pg_file_settings`: what a file says, whether it counts or not. */
export interface FileSetting {
  readonly sourceFile: string | null;
  readonly sourceLine: number | null;
  readonly name: string | null;
  readonly setting: string | null;
  readonly applied: boolean;
  readonly error: string | null;
}

/** One file, by its absolute path on the server. */
export interface ConfigurationFile {
  readonly path: string;
  readonly kind: ConfigurationFileKind;
  /** Where it lies in the tree of the snapshot: below `data/` when it lies in the data directory, else below `config/files/`. */
  readonly treePath: string;
  readonly content: Buffer;
  /** Permission bits and whole milliseconds since 1970, where they are known. */
  readonly mode: number;
  readonly mtimeMs: number;
}

/** Something that could not be kept. (A type, not an interface, as it stands in the snapshot's record as JSON.) */
export type ConfigurationGap = {
  /** A file by its path, or `settings`. */
  readonly what: string;
  /** One whole sentence. */
  readonly reason: string;
  /** Statements for a superuser, in order; empty when nothing of the kind would help. */
  readonly mend: readonly string[];
};

/** All that was found of a server's configuration. */
export interface CollectedConfiguration {
  /** Null when the server was not asked. */
  readonly settings: readonly Setting[] | null;
  /** Null when the role may not see them. */
  readonly fileSettings: readonly FileSetting[] | null;
  readonly files: readonly ConfigurationFile[];
  readonly gaps: readonly ConfigurationGap[];
}

/** The folder of the tree for configuration files that lie outside the data directory. */
export const FILES_PREFIX = 'config/files';
/** Settings of the server and of its files, as JSON. */
export const SETTINGS_PATH = 'config/settings.json';
