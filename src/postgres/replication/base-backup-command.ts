import { HoldfastError } from '../../lib/index.ts';

/** What is asked of BASE_BACKUP. */
export interface BaseBackupOptions {
  /** Stands in backup_label and in the server's log. */
  readonly label: string;
  /** 'fast' checkpoints at once, at the price of a burst of writes; 'spread' takes its time. */
  readonly checkpoint: 'fast' | 'spread';
  /** Checksums of the files in the manifest. */
  readonly manifestChecksums: 'NONE' | 'CRC32C' | 'SHA224' | 'SHA256' | 'SHA384' | 'SHA512';
  /** Lets the server estimate sizes first, for a progress bar. */
  readonly progress?: boolean;
  /** Kilobytes a second at most, 32 to 1048576. */
  readonly maxRateKilobytes?: number | undefined;
  /** Asks for the tablespace_map file that a restore needs when there are tablespaces. */
  readonly tablespaceMap?: boolean;
  /** False leaves pages unchecked on the server. True when not given. */
  readonly verifyChecksums?: boolean;
  /** True waits until the server has archived the WAL of the backup; whoever streams WAL waits for that instead. */
  readonly waitForArchive?: boolean;
  /** Asks for what changed since the backup whose manifest was uploaded on this connection; from version 17 on. */
  readonly incremental?: boolean;
}

/** Since this version the options stand in brackets and all archives come in one copy. */
export const BRACKETED_OPTIONS_MAJOR_MIN = 15;

/** Since this version a server can send increments. */
export const INCREMENTS_MAJOR_MIN = 17;

/** The longest label (MAXPGPATH in the server's sources is 1024). */
const LABEL_BYTES_MAX = 1000;

/**
 * Writes the BASE_BACKUP command for a server of the given version.
 * Errors: PG_BASE_BACKUP_OPTION_INVALID.
 */
export function formatBaseBackupCommand(options: BaseBackupOptions, serverMajor: number): string {
  const { label, maxRateKilobytes } = options;
  if (Buffer.byteLength(label) > LABEL_BYTES_MAX || /[\0\r\n]/.test(label)) {
    throw invalidOption('label', `Expected at most ${LABEL_BYTES_MAX} bytes in one line.`);
  }
  if (maxRateKilobytes !== undefined && !(maxRateKilobytes >= 32 && maxRateKilobytes <= 1_048_576)) {
    throw invalidOption('rate', `Expected 32 to 1048576 kilobytes a second, found ${maxRateKilobytes}.`);
  }
  if (options.incremental && serverMajor < INCREMENTS_MAJOR_MIN) {
    throw invalidOption(
      'kind',
      `Expected version ${INCREMENTS_MAJOR_MIN} of the server or later for an increment, found ${serverMajor}.`,
    );
  }
  return serverMajor >= BRACKETED_OPTIONS_MAJOR_MIN ? formatBracketed(options) : formatPlain(options);
}

function formatBracketed(options: BaseBackupOptions): string {
  const words = [
    `LABEL ${quote(options.label)}`,
    `CHECKPOINT '${options.checkpoint}'`,
    `WAIT ${options.waitForArchive ?? false}`,
    "MANIFEST 'yes'",
    `MANIFEST_CHECKSUMS '${options.manifestChecksums}'`,
    `VERIFY_CHECKSUMS ${options.verifyChecksums ?? true}`,
  ];
  if (options.progress) words.push('PROGRESS');
  if (options.tablespaceMap) words.push('TABLESPACE_MAP');
  if (options.maxRateKilobytes !== undefined) words.push(`MAX_RATE ${Math.floor(options.maxRateKilobytes)}`);
  if (options.incremental) words.push('INCREMENTAL');
  return `BASE_BACKUP (${words.join(', ')})`;
}

/** Before version 15: words without commas; what is not asked for is left out. */
function formatPlain(options: BaseBackupOptions): string {
  const words = [`LABEL ${quote(options.label)}`];
  if (options.progress) words.push('PROGRESS');
  if (options.checkpoint === 'fast') words.push('FAST');
  if (!options.waitForArchive) words.push('NOWAIT');
  if (options.maxRateKilobytes !== undefined) words.push(`MAX_RATE ${Math.floor(options.maxRateKilobytes)}`);
  if (options.tablespaceMap) words.push('TABLESPACE_MAP');
  if (options.verifyChecksums === false) words.push('NOVERIFY_CHECKSUMS');
  words.push("MANIFEST 'yes'", `MANIFEST_CHECKSUMS '${options.manifestChecksums}'`);
  return `BASE_BACKUP ${words.join(' ')}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function invalidOption(name: string, detail: string): HoldfastError {
  return new HoldfastError('PG_BASE_BACKUP_OPTION_INVALID', `invalid ${name} for a base backup`, { detail });
}
