import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nobody, runsAsRoot } from './scratch.ts';

/** A number that a young cluster does not come to by itself. */
const FIRST_NODE = 1_000_000;
const PAGE_BYTES = 8_192;
/** Where the header's fields are that make an empty page a valid one. */
const [LOWER_OFFSET, UPPER_OFFSET, SPECIAL_OFFSET, VERSION_OFFSET] = [12, 14, 16, 18];
const HEADER_BYTES = 24;
const PAGE_VERSION = 8_196;

/**
 * Makes files in the directory of a database as relations have them, a third of them empty and the others with one page each that no other has: the
 * server sends them like any other, although no table is theirs, and in a hundredth of the time that so many tables would take to make.
 */
export function makeRelationFiles(directory: string, count: number): void {
  const page = Buffer.alloc(PAGE_BYTES);
  page.writeUInt16LE(HEADER_BYTES, LOWER_OFFSET);
  page.writeUInt16LE(PAGE_BYTES, UPPER_OFFSET);
  page.writeUInt16LE(PAGE_BYTES, SPECIAL_OFFSET);
  page.writeUInt16LE(PAGE_VERSION, VERSION_OFFSET);
  for (let i = 0; i < count; i++) {
    const path = join(directory, String(FIRST_NODE + i));
    page.writeUInt32LE(i, HEADER_BYTES);
    // A position far ahead: the server checks the checksums of pages that are older than the backup only.
    page.writeUInt32LE(0x7fff_ffff, 0);
    writeFileSync(path, i % 3 === 0 ? '' : page);
    if (runsAsRoot) chownSync(path, nobody.uid, nobody.gid);
  }
}
