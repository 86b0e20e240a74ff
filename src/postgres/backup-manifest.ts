import { createHash } from 'node:crypto';
import { HoldfastError, messageOf } from '../lib/index.ts';
import { parseLsn } from './lsn.ts';

/** One file of a base backup. `checksum` is lower-case hexadecimal; null where none was asked for. */
export interface ManifestFile {
  /** As on the server: relative to its data directory, tablespaces under pg_tblspc/<oid>/. */
  readonly path: string;
  /** False for a path that is not UTF-8: `path` then holds a byte in each character (Latin-1). */
  readonly isPathText: boolean;
  readonly size: number;
  readonly checksumAlgorithm: string | null;
  readonly checksum: string | null;
}

/** WAL without which the backup cannot be made consistent. */
export interface ManifestWalRange {
  readonly timeline: number;
  readonly startLsn: bigint;
  readonly endLsn: bigint;
}

export interface BackupManifest {
  readonly version: 1 | 2;
  /** Only in version 2 (PostgreSQL 17 and later); a decimal number. */
  readonly systemId: string | null;
  readonly files: readonly ManifestFile[];
  readonly walRanges: readonly ManifestWalRange[];
}

/**
 * Reads a backup manifest and checks its own checksum.
 *
 * Shape:  JSON in UTF-8; the last line holds 'Manifest-Checksum', the SHA-256 of all bytes before that line.
 * Errors: PG_MANIFEST_CHECKSUM_WRONG, PG_MANIFEST_INVALID, PG_MANIFEST_VERSION_UNSUPPORTED.
 * Source: PostgreSQL manual, "Backup Manifest Format".
 */
export function parseBackupManifest(bytes: Uint8Array): BackupManifest {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkManifestChecksum(buffer);
  const manifest = parseObject(buffer);
  const version = manifest['PostgreSQL-Backup-Manifest-Version'];
  if (version !== 1 && version !== 2) {
    throw new HoldfastError('PG_MANIFEST_VERSION_UNSUPPORTED', 'cannot read this version of a backup manifest', {
      detail: `Expected version 1 or 2, found ${JSON.stringify(version)}.`,
    });
  }
  return {
    version,
    systemId: version === 1 ? null : readSystemId(buffer),
    files: list(manifest.Files, 'Files').map(readFile),
    walRanges: list(manifest['WAL-Ranges'], 'WAL-Ranges').map(readWalRange),
  };
}

/** Cuts off the last line and compares; done before anything is parsed, so that no damage gets as far as a wrong reading. */
function checkManifestChecksum(manifest: Buffer): void {
  const end = manifest.at(-1) === 0x0a ? manifest.length - 1 : manifest.length;
  const lastLine = manifest.lastIndexOf(0x0a, end - 1) + 1;
  const stated = /^"Manifest-Checksum": "([0-9a-fA-F]{64})"\}$/.exec(manifest.toString('latin1', lastLine, end))?.[1];
  if (stated === undefined) throw invalid('Expected "Manifest-Checksum" on the last line.');
  const found = createHash('sha256').update(manifest.subarray(0, lastLine)).digest('hex');
  if (found !== stated.toLowerCase()) {
    throw new HoldfastError('PG_MANIFEST_CHECKSUM_WRONG', 'backup manifest does not match its checksum', {
      detail: `Expected SHA-256 ${stated}, found ${found}.`,
    });
  }
}

function parseObject(manifest: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(manifest.toString('utf8'));
  } catch (error) {
    throw invalid(`JSON cannot be read: ${messageOf(error)}.`);
  }
  return record(value, 'The manifest');
}

function readFile(value: unknown): ManifestFile {
  const file = record(value, 'A file');
  const encoded = file['Encoded-Path'];
  const path = typeof encoded === 'string' ? decodePath(encoded) : file.Path;
  if (typeof path !== 'string' || path === '') throw invalid('A file has no path.');
  const { Size: size, Checksum: checksum, 'Checksum-Algorithm': algorithm } = file;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid(`"${path}" has no size.`);
  return {
    path,
    isPathText: typeof encoded !== 'string' || isUtf8(encoded),
    size,
    checksumAlgorithm: typeof algorithm === 'string' ? algorithm : null,
    checksum: typeof checksum === 'string' ? checksum.toLowerCase() : null,
  };
}

function readWalRange(value: unknown): ManifestWalRange {
  const range = record(value, 'A WAL range');
  const { Timeline: timeline, 'Start-LSN': start, 'End-LSN': end } = range;
  if (typeof timeline !== 'number' || typeof start !== 'string' || typeof end !== 'string') {
    throw invalid('A WAL range lacks its timeline or an LSN.');
  }
  return { timeline, startLsn: parseLsn(start), endLsn: parseLsn(end) };
}

/** From the text itself: a number of 64 bits does not survive JSON.parse. */
function readSystemId(manifest: Buffer): string {
  const systemId = /"System-Identifier": ?([0-9]{1,20})[,\s]/.exec(manifest.toString('latin1', 0, 1024))?.[1];
  if (systemId === undefined) throw invalid('Expected "System-Identifier" at the beginning.');
  return systemId;
}

/** Bytes in hexadecimal: the server uses it for paths that are not UTF-8, or for all when it was told to. */
function decodePath(encoded: string): string {
  if (!/^([0-9a-fA-F]{2})+$/.test(encoded)) throw invalid('An encoded path is not hexadecimal.');
  return Buffer.from(encoded, 'hex').toString(isUtf8(encoded) ? 'utf8' : 'latin1');
}

function isUtf8(encoded: string): boolean {
  const bytes = Buffer.from(encoded, 'hex');
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}

function list(value: unknown, name: string): unknown[] {
  if (!Array.isArray(value)) throw invalid(`Expected a list as "${name}".`);
  return value;
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} is not an object.`);
  return value as Record<string, unknown>;
}

function invalid(detail: string): HoldfastError {
  return new HoldfastError('PG_MANIFEST_INVALID', 'invalid backup manifest', { detail });
}
