import { HoldfastError } from '../../../lib/index.ts';
import { BackupManifestReader, formatManifestCrc, type ManifestFile } from '../../../postgres/index.ts';
import type { EntryTable } from '../entry-table.ts';
import { incrementedPathOf } from '../increment/index.ts';
import { treePathOf } from '../tree-paths.ts';
import type { ReceivedFiles } from './receive-files.ts';

/** Files that the manifest does not list: it is written before them or is itself, or they are the configuration that we keep beside the backup. */
const UNLISTED = /^(meta\/backup_manifest|data\/pg_wal\/.*|config\/.*)$/;

/** So many of the files that differ are named. */
const NAMED_MAX = 5;

/**
 * Holds what was received against the server's own manifest: every file, its size and its CRC-32C, and the manifest's own checksum.
 *
 * Thereby no fault between the server's disk and our chunks (a parser, a buffer, a line) can pass as a success. Of files that we read ourselves
 * the server has no manifest.
 * Errors: `BACKUP_MANIFEST_MISMATCH` with the first files that differ; those of `BackupManifestReader`.
 */
export function checkManifest(received: ReceivedFiles): void {
  received.manifest?.finish();
}

/**
 * Compares a manifest with the received files while it arrives, so that it is never whole in memory.
 *
 * Servers list the files in the order in which they sent them; in any other order they are found as well.
 */
export class ManifestCheck {
  readonly #entries: EntryTable;
  readonly #hasIncrements: boolean;
  readonly #reader = new BackupManifestReader((file) => this.#compare(file));
  /** A byte for each row that was there when the manifest began. */
  readonly #listed: Uint8Array;
  readonly #problems: string[] = [];
  #problemCount = 0;
  /** Where the next file is likely to be. */
  #next = 0;
  /** Rows by path; made when a file is not where it is likely to be. */
  #sorted: Uint32Array | null = null;

  /** `entries` holds everything that the server sent before the manifest; increments of files stand there under the names of the whole files. */
  constructor(entries: EntryTable, options = { hasIncrements: false }) {
    this.#entries = entries;
    this.#hasIncrements = options.hasIncrements;
    this.#listed = new Uint8Array(entries.count);
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** After the last byte of the manifest, and any time later. Errors: as those of `checkManifest`. */
  finish(): void {
    this.#reader.end();
    for (let row = 0; row < this.#entries.count; row++) {
      if (this.#listed[row] === 1 || !this.#entries.isFile(row)) continue;
      const path = this.#entries.pathOf(row);
      if (!UNLISTED.test(path)) this.#note(`"${path}" was received but is not listed`);
    }
    if (this.#problemCount > 0) throw manifestMismatch(this.#problems, this.#problemCount);
  }

  #compare(file: ManifestFile): void {
    const whole = this.#hasIncrements ? incrementedPathOf(file.path) : null;
    const row = this.#find(treePathOf(whole ?? file.path));
    if (row === null || this.#entries.isIncrement(row) !== (whole !== null)) {
      this.#note(`"${file.path}" is listed but was not received`);
      return;
    }
    this.#listed[row] = 1;
    const found = this.#entries.receivedOf(row);
    if (found.size !== file.size) {
      this.#note(`"${file.path}" has ${file.size} bytes in the manifest and ${found.size} as received`);
    } else if (file.checksum !== null && file.checksum.toLowerCase() !== formatManifestCrc(found.crc32c)) {
      this.#note(`"${file.path}" has another checksum than the manifest says`);
    }
  }

  #find(path: string): number | null {
    const wanted = Buffer.from(path, 'utf8');
    const end = this.#listed.length;
    while (this.#next < end && !this.#entries.isFile(this.#next)) this.#next += 1;
    if (this.#next < end && this.#entries.hasPath(this.#next, wanted)) return this.#next++;
    this.#sorted ??= this.#entries.sortedRows();
    const row = this.#entries.findFile(wanted, this.#sorted);
    // It goes on from there, so that one file out of its place, or one that was not received, costs one search.
    if (row !== null) this.#next = row + 1;
    return row;
  }

  #note(problem: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < NAMED_MAX) this.#problems.push(problem);
  }
}

function manifestMismatch(problems: readonly string[], count: number): HoldfastError {
  const more = count > problems.length ? `; and ${count - problems.length} more` : '';
  return new HoldfastError('BACKUP_MANIFEST_MISMATCH', 'backup differs from the manifest that the server sent', {
    detail: `Expected every file as the manifest lists it, found: ${problems.join('; ')}${more}.`,
    hints: [
      'Take the backup again. If it happens twice, the server or the line alters data: check the disk and the network.',
    ],
  });
}
