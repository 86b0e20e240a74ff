import { HoldfastError } from '../../../lib/index.ts';
import { parseBackupManifest } from '../../../postgres/index.ts';
import type { ReceivedFiles } from './receive-files.ts';

/** Files that the manifest does not list: it is written before them or is itself, or they are the configuration that we keep beside the backup. */
const UNLISTED = /^(meta\/backup_manifest|data\/pg_wal\/.*|config\/.*)$/;

/**
 * Holds what was received against the server's own manifest: every file, its size and its CRC-32C, and the manifest's own checksum.
 *
 * Thereby no fault between the server's disk and our chunks (a parser, a buffer, a line) can pass as a success.
 * Errors: `BACKUP_MANIFEST_MISMATCH` with the first files that differ; those of `parseBackupManifest`.
 */
export function checkManifest(received: ReceivedFiles): void {
  const manifest = parseBackupManifest(received.manifest);
  const problems: string[] = [];
  const listed = new Set<string>();
  for (const file of manifest.files) {
    const path = treePath(file.path);
    listed.add(path);
    const found = received.files.get(path);
    if (found === undefined) problems.push(`"${file.path}" is listed but was not received`);
    else if (BigInt(found.size) !== BigInt(file.size)) {
      problems.push(`"${file.path}" has ${file.size} bytes in the manifest and ${found.size} as received`);
    } else if (file.checksum !== null && file.checksum.toLowerCase() !== manifestCrc(found.crc32c)) {
      problems.push(`"${file.path}" has another checksum than the manifest says`);
    }
  }
  for (const path of received.files.keys()) {
    if (!listed.has(path) && !UNLISTED.test(path)) problems.push(`"${path}" was received but is not listed`);
  }
  if (problems.length > 0) throw manifestMismatch(problems);
}

/** The path of a manifest's entry in our tree: tablespaces lie under `pg_tblspc/<oid>/` there and under `space/<oid>/` here. */
function treePath(path: string): string {
  const tablespace = /^pg_tblspc\/([0-9]+)\/(.*)$/.exec(path);
  return tablespace === null ? `data/${path}` : `space/${tablespace[1]}/${tablespace[2]}`;
}

/** The manifest prints a CRC-32C as its four bytes in the server's order, which is little-endian wherever PostgreSQL runs today. */
function manifestCrc(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(crc >>> 0);
  return bytes.toString('hex');
}

function manifestMismatch(problems: readonly string[]): HoldfastError {
  const shown = problems.slice(0, 5).join('; ');
  const more = problems.length > 5 ? `; and ${problems.length - 5} more` : '';
  return new HoldfastError('BACKUP_MANIFEST_MISMATCH', 'backup differs from the manifest that the server sent', {
    detail: `Expected every file as the manifest lists it, found: ${shown}${more}.`,
    hints: [
      'Take the backup again. If it happens twice, the server or the line alters data: check the disk and the network.',
    ],
  });
}
