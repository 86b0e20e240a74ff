import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import type { PostgresServer } from './postgres-server.ts';

const MAGIC = 0x652b137b;
/** Relation (12 bytes), fork, limit block, count of chunks. */
const ENTRY_BYTES = 24;
/** A chunk that has so many is a bitmap instead. */
const CHUNK_ENTRIES_MAX = 4096;
const CRC_BYTES = 4;

/**
 * Takes a fork of a relation out of every summary that the server has, or of those that begin at `from` or behind it, and mends the checksum: a summary that lies. Gives how many summaries
 * named it.
 *
 * Source: PostgreSQL, blkreftable.c, WriteBlockRefTable.
 */
export async function removeFromSummaries(
  server: PostgresServer,
  relation: number,
  { fork = 0, from = 0n }: { fork?: number; from?: bigint } = {},
): Promise<number> {
  const directory = join(server.dataDirectory, 'pg_wal/summaries');
  let changed = 0;
  for (const name of await readdir(directory)) {
    if (!/^[0-9A-F]{40}\.summary$/.test(name) || BigInt(`0x${name.slice(8, 24)}`) < from) continue;
    const path = join(directory, name);
    const bytes = await readFile(path);
    const kept: Buffer[] = [bytes.subarray(0, 4)];
    let isChanged = false;
    for (const entry of entriesOf(bytes)) {
      if (entry.readUInt32LE(8) === relation && entry.readInt32LE(12) === fork) isChanged = true;
      else kept.push(entry);
    }
    if (!isChanged) continue;
    const body = Buffer.concat([...kept, Buffer.alloc(ENTRY_BYTES)]);
    const checksum = Buffer.alloc(CRC_BYTES);
    checksum.writeUInt32LE(crc32c(body));
    await writeFile(path, Buffer.concat([body, checksum]));
    changed += 1;
  }
  return changed;
}

/** Each entry with its chunks; the one of zeros that ends them is left out. */
function* entriesOf(bytes: Buffer): Generator<Buffer> {
  if (bytes.readUInt32LE(0) !== MAGIC) throw new Error('this is no WAL summary');
  for (let at = 4; ; ) {
    const head = bytes.subarray(at, at + ENTRY_BYTES);
    if (head.every((byte) => byte === 0)) return;
    const chunks = head.readUInt32LE(20);
    let end = at + ENTRY_BYTES + chunks * 2;
    for (let i = 0; i < chunks; i++) {
      const used = bytes.readUInt16LE(at + ENTRY_BYTES + i * 2);
      end += (used === CHUNK_ENTRIES_MAX ? CHUNK_ENTRIES_MAX / 16 : used) * 2;
    }
    yield bytes.subarray(at, end);
    at = end;
  }
}
