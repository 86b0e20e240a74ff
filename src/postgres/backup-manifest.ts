import { createHash } from 'node:crypto';
import { HoldfastError, messageOf } from '../lib/index.ts';
import { JsonListCutter } from './json-list-cutter.ts';
import { parseLsn } from './lsn.ts';

const LINE_FEED = 0x0a;

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

/** What a manifest says beside its files. */
export type ManifestOutline = Omit<BackupManifest, 'files'>;

/** No line of a manifest is longer: paths of PostgreSQL have some hundred bytes. */
const LINE_BYTES_MAX = 64 << 10;

/**
 * Reads a backup manifest as it arrives and checks its own checksum; a file at a time is in memory.
 *
 * Shape:  JSON in UTF-8; the last line holds 'Manifest-Checksum', the SHA-256 of all bytes before that line.
 * Errors: PG_MANIFEST_CHECKSUM_WRONG, PG_MANIFEST_INVALID, PG_MANIFEST_VERSION_UNSUPPORTED, all from `end`: what `onFile` was told is to be
 *         believed only when that returns. What `onFile` throws, `push` throws.
 * Source: PostgreSQL manual, "Backup Manifest Format".
 */
export class BackupManifestReader {
  readonly #onFile: (file: ManifestFile) => void;
  readonly #cutter = new JsonListCutter({ key: 'Files', onObject: (text) => this.#readFile(text) });
  readonly #hash = createHash('sha256');
  /** Not hashed yet, as it may be the last line. */
  #lastLine: Buffer = Buffer.alloc(0);
  #hasLongLine = false;
  #failure: unknown = null;

  constructor(onFile: (file: ManifestFile) => void) {
    this.#onFile = onFile;
  }

  push(bytes: Uint8Array): void {
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#hashLines(piece);
    this.#cutter.push(piece);
  }

  /** Says that nothing follows. */
  end(): ManifestOutline {
    this.#checkChecksum();
    if (this.#cutter.isOverfull) throw invalid('Something in it is larger than the server writes anything.');
    const text = this.#cutter.rest;
    const manifest = parseObject(text, 'The manifest');
    const version = manifest['PostgreSQL-Backup-Manifest-Version'];
    if (version !== 1 && version !== 2) {
      throw new HoldfastError('PG_MANIFEST_VERSION_UNSUPPORTED', 'cannot read this version of a backup manifest', {
        detail: `Expected version 1 or 2, found ${JSON.stringify(version)}.`,
      });
    }
    const systemId = version === 1 ? null : readSystemId(text);
    const files = list(manifest.Files, 'Files');
    if (this.#failure !== null) throw this.#failure;
    // Two lists of one name, or something in the list that is no object: then not all that is listed was read.
    if (files.length !== this.#cutter.count) throw invalid('Expected one list of files and only objects in it.');
    return { version, systemId, walRanges: list(manifest['WAL-Ranges'], 'WAL-Ranges').map(readWalRange) };
  }

  #readFile(text: string): void {
    if (this.#failure !== null) return;
    let file: ManifestFile;
    try {
      file = readFile(parseObject(text, 'A file'));
    } catch (error) {
      // Kept for the end: a manifest that was damaged on its way is told by its checksum, not by where it happened to break.
      this.#failure = error;
      return;
    }
    this.#onFile(file);
  }

  #hashLines(piece: Buffer): void {
    const known = this.#lastLine.length === 0 ? piece : Buffer.concat([this.#lastLine, piece]);
    // The last byte may be the end of the last line.
    const end = known.length < 2 ? 0 : known.lastIndexOf(LINE_FEED, known.length - 2) + 1;
    this.#hash.update(known.subarray(0, end));
    const left = known.subarray(end);
    if (left.length > LINE_BYTES_MAX) this.#hasLongLine = true;
    this.#lastLine = this.#hasLongLine ? Buffer.alloc(0) : Buffer.from(left);
  }

  #checkChecksum(): void {
    const stated = /^"Manifest-Checksum": "([0-9a-fA-F]{64})"\}\n?$/.exec(this.#lastLine.toString('latin1'))?.[1];
    if (stated === undefined || this.#hasLongLine) throw invalid('Expected "Manifest-Checksum" on the last line.');
    const found = this.#hash.digest('hex');
    if (found !== stated.toLowerCase()) {
      throw new HoldfastError('PG_MANIFEST_CHECKSUM_WRONG', 'backup manifest does not match its checksum', {
        detail: `Expected SHA-256 ${stated}, found ${found}.`,
      });
    }
  }
}

/** Reads a manifest that is whole in memory, as `BackupManifestReader` does. Errors: the same. */
export function parseBackupManifest(bytes: Uint8Array): BackupManifest {
  const files: ManifestFile[] = [];
  const reader = new BackupManifestReader((file) => files.push(file));
  reader.push(bytes);
  return { ...reader.end(), files };
}

function parseObject(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`JSON cannot be read: ${messageOf(error)}.`);
  }
  return record(value, what);
}

function readFile(file: Record<string, unknown>): ManifestFile {
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
function readSystemId(manifest: string): string {
  const systemId = /"System-Identifier": ?([0-9]{1,20})[,\s]/.exec(manifest.slice(0, 1024))?.[1];
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
