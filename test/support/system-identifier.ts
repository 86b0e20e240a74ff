import { randomBytes } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';

/** `xlp_info` bit of a WAL page whose header is the long one, as the first page of each segment has it. */
const longHeaderFlag = 0x0002;
/** Where `xlp_sysid` lies in a long WAL page header (xlog_internal.h, the same since PostgreSQL 9.3). */
const pageSystemIdentifierOffset = 24;

/**
 * Gives a stopped cluster another system identifier, so that two copies of one template are strangers to each other,
 * as two clusters made by initdb are. It stands in pg_control, under a checksum, and in the first page of each segment.
 */
export async function renewSystemIdentifier(dataDirectory: string): Promise<void> {
  // As initdb does, seconds of the clock come first; the rest is random here.
  const identifier = (BigInt(Math.floor(Date.now() / 1000)) << 32n) | BigInt(randomBytes(4).readUInt32BE());
  const walDirectory = join(dataDirectory, 'pg_wal');
  for (const name of await readdir(walDirectory)) {
    if (/^[0-9A-F]{24}$/.test(name)) await writeIntoSegment(join(walDirectory, name), identifier);
  }
  await writeIntoControlFile(join(dataDirectory, 'global', 'pg_control'), identifier);
}

async function writeIntoSegment(path: string, identifier: bigint): Promise<void> {
  await using file = await open(path, 'r+');
  const header = Buffer.alloc(40);
  await file.read(header, 0, header.length, 0);
  if ((header.readUInt16LE(2) & longHeaderFlag) === 0) return; // Never written to: zeros up to its end.
  header.writeBigUInt64LE(identifier, pageSystemIdentifierOffset);
  await file.write(header, 0, header.length, 0);
}

async function writeIntoControlFile(path: string, identifier: bigint): Promise<void> {
  await using file = await open(path, 'r+');
  const content = Buffer.alloc(512); // The part in use is kept below one sector, so that it is written at once.
  await file.read(content, 0, content.length, 0);
  const checksumOffset = findChecksum(content);
  content.writeBigUInt64LE(identifier, 0);
  content.writeUInt32LE(crc32c(content.subarray(0, checksumOffset)), checksumOffset);
  await file.write(content, 0, content.length, 0);
}

/** The checksum ends the structure, whose length differs between majors: it is where the sum of all before it stands. */
function findChecksum(content: Buffer): number {
  for (let offset = 200; offset + 4 <= content.length; offset += 4) {
    if (content.readUInt32LE(offset) === crc32c(content.subarray(0, offset))) return offset;
  }
  throw new Error('no checksum found in pg_control');
}
