import type { ServerVersion } from '../../postgres/index.ts';

/** A run-time parameter. */
export interface SettingFacts {
  /** In the parameter's own unit, as `pg_settings` has it. */
  readonly value: string;
  /** `kB`, `8kB`, `MB`, `s`, `ms` …; empty for a parameter without one. */
  readonly unit: string;
  /** True when another value is written down and waits for a restart. */
  readonly isPendingRestart: boolean;
  /** Where the value was read: `<file>:<line>`, or a word such as `default`. */
  readonly origin: string;
}

/** A replication slot. */
export interface SlotFacts {
  readonly name: string;
  readonly isPhysical: boolean;
  readonly isTemporary: boolean;
  readonly isActive: boolean;
  /** `reserved`, `extended`, `unreserved` or `lost`; `null` when it keeps nothing yet. */
  readonly walStatus: string | null;
  /** Why the server gave it up; `null` when it did not, or is too old to say. */
  readonly invalidation: string | null;
  /** Bytes of WAL that are kept for it; `null` when it keeps none. */
  readonly keptBytes: number | null;
}

/** A server process that sends WAL. */
export interface SenderFacts {
  readonly applicationName: string;
}

export interface ArchiverFacts {
  readonly lastArchivedAt: number | null;
  readonly lastFailedAt: number | null;
  readonly lastFailedName: string | null;
  readonly failedCount: number;
}

export interface PreparedTransaction {
  readonly name: string;
  readonly database: string;
  /** Milliseconds since it was prepared. */
  readonly ageMs: number;
}

/** A line of a configuration file that the server could not take. */
export interface ConfigurationError {
  readonly file: string;
  readonly line: number;
  readonly name: string | null;
  readonly error: string;
}

/** What has to be asked in each database. `why` tells why that could not be done. */
export type DatabaseFacts =
  | { readonly kind: 'unseen'; readonly name: string; readonly why: string }
  | {
      readonly kind: 'seen';
      readonly name: string;
      /** `schema.table`, quoted as SQL takes it. */
      readonly unloggedTables: readonly string[];
      /** `schema.collation`, quoted as SQL takes it. */
      readonly staleCollations: readonly string[];
    };

/** The role that connects, by what it may do. */
export interface RoleFacts {
  readonly name: string;
  readonly isSuperuser: boolean;
  readonly mayReplicate: boolean;
  readonly mayMonitor: boolean;
  /** Milliseconds since 1970; `null` without an end. */
  readonly passwordValidUntil: number | null;
}

/** A collation that some database or index was made with. */
export interface DatabaseLocale {
  readonly database: string;
  /** `libc`, `icu` or `builtin`. */
  readonly provider: string;
  readonly locale: string;
  /** What the database was made with and what the server's libraries have now, where they differ. */
  readonly versions: { readonly made: string; readonly now: string } | null;
}

/** What a server said of itself. `null` stands for what it would not say to us. */
export interface ServerFacts {
  readonly version: ServerVersion;
  readonly isPrimary: boolean;
  readonly system: string;
  readonly timeline: number;
  readonly blockBytes: number;
  readonly walSegmentBytes: number;
  readonly hasChecksums: boolean;
  readonly settings: ReadonlyMap<string, SettingFacts>;
  readonly slots: readonly SlotFacts[];
  readonly senders: readonly SenderFacts[];
  readonly archiver: ArchiverFacts;
  /** Bytes in pg_wal. */
  readonly walDirectoryBytes: number | null;
  /** Segments that wait for archive_command. */
  readonly waitingForArchive: number | null;
  /** On average since the statistics were reset; `null` when that is less than a minute ago. */
  readonly walBytesPerSecond: number | null;
  readonly preparedTransactions: readonly PreparedTransaction[];
  readonly tablespaces: readonly { readonly name: string; readonly location: string }[];
  /** Resource managers of extensions, whose WAL only their library can replay; `null` where the server is too old to tell. */
  readonly customResourceManagers: readonly string[] | null;
  readonly configurationErrors: readonly ConfigurationError[] | null;
  readonly locales: readonly DatabaseLocale[];
  readonly databases: readonly DatabaseFacts[];
  readonly role: RoleFacts;
  /** Our address as the server sees it, and its own; `null` over a Unix socket. */
  readonly addresses: { readonly client: string; readonly server: string } | null;
  /** The server's clock minus ours, in milliseconds, and half the time that asking took. */
  readonly clockOffset: { readonly ms: number; readonly uncertaintyMs: number };
}

/** Whether the role was let in for replication, and what the server said if it was not. */
export type ReplicationLogin =
  | { readonly kind: 'done'; readonly isEncrypted: boolean }
  | { readonly kind: 'refused'; readonly code: string; readonly sentence: string }
  | { readonly kind: 'unseen'; readonly why: string };

/** A size that a parameter states, in bytes; `null` for -1, which means none or no limit. */
export function settingBytes({ value, unit }: SettingFacts): number | null {
  const number = Number(value);
  if (number < 0) return null;
  const [, factor, name] = /^([0-9]*)(B|kB|MB|GB|TB)?$/.exec(unit) ?? [];
  return number * (factor === '' || factor === undefined ? 1 : Number(factor)) * (unitBytes[name ?? 'B'] ?? 1);
}

const unitBytes: Readonly<Record<string, number>> = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 };

/** Bytes as a parameter takes them: in whole megabytes. */
export function toMegabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)}MB`;
}
