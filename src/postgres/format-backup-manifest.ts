import { createHash } from 'node:crypto';
import type { ManifestOutline } from './backup-manifest.ts';
import { formatLsn } from './lsn.ts';

/** A file as a manifest names it. */
export interface ListedFile {
  /** As on the server: relative to its data directory, tablespaces under pg_tblspc/<oid>/. */
  readonly path: string;
  readonly size: number;
  /** CRC-32C of its bytes; left out where nobody shall check them. */
  readonly crc32c?: number;
}

/** About so many characters are given at a time. */
const PIECE_LENGTH = 64 << 10;

/**
 * Writes a backup manifest, in pieces: what `BackupManifestReader` reads, without the times of files, which nobody needs.
 *
 * Source: PostgreSQL manual, "Backup Manifest Format".
 */
export function* formatBackupManifest(
  manifest: ManifestOutline & { readonly files: Iterable<ListedFile> },
): Generator<Buffer, void> {
  const hash = createHash('sha256');
  const system = manifest.systemId === null ? '' : `"System-Identifier": ${manifest.systemId},\n`;
  let lines = `{ "PostgreSQL-Backup-Manifest-Version": ${manifest.version},\n${system}"Files": [`;
  let separator = '\n';
  const take = (): Buffer => {
    const bytes = Buffer.from(lines, 'utf8');
    hash.update(bytes);
    lines = '';
    return bytes;
  };
  for (const { path, size, crc32c } of manifest.files) {
    const checksum =
      crc32c === undefined ? '' : `, "Checksum-Algorithm": "CRC32C", "Checksum": "${formatManifestCrc(crc32c)}"`;
    lines += `${separator}{ "Path": ${JSON.stringify(path)}, "Size": ${size}${checksum} }`;
    separator = ',\n';
    if (lines.length >= PIECE_LENGTH) yield take();
  }
  const ranges = manifest.walRanges.map(
    ({ timeline, startLsn, endLsn }) =>
      `{ "Timeline": ${timeline}, "Start-LSN": "${formatLsn(startLsn)}", "End-LSN": "${formatLsn(endLsn)}" }`,
  );
  lines += `\n],\n"WAL-Ranges": [\n${ranges.join(',\n')}\n],\n`;
  yield take();
  yield Buffer.from(`"Manifest-Checksum": "${hash.digest('hex')}"}\n`, 'utf8');
}

/** A manifest prints a CRC-32C as its four bytes in the server's order, which is little-endian wherever PostgreSQL runs today. */
export function formatManifestCrc(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(crc >>> 0);
  return bytes.toString('hex');
}
