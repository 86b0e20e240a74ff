import { ByteReader, ByteWriter } from '../../lib/index.ts';
import { damagedObject, kindPrefix } from '../codec/index.ts';
import { type Lease, LONGEST_RUN_MS } from '../lease/index.ts';
import {
  arePackEntriesValid,
  decodePackContent,
  encodePackContent,
  PACK_ENTRY_BYTES,
  type PackContent,
} from '../pack/index.ts';
import type { SealedObjects } from '../sealed/index.ts';
import { writeTombstone } from '../tombstone/index.ts';

/** The most chunks of one index object, unless a single pack has more. */
export const INDEX_CHUNKS_MAX = 65_536;

const INDEX_VERSION = 1;

/** What an index says of one pack. `entries`: 40 bytes for each chunk, as in the pack's directory. */
export interface IndexedPack {
  packId: Uint8Array;
  content: PackContent;
  epoch: number;
  entries: Uint8Array;
}

/**
 * The plain body of an index object.
 *
 * Shape: u8 version 1 · 3 zero · u32 packs · for each { 32 pack id · u32 epoch · u8 content · 3 zero · u32 count · count × 40 entry }.
 */
export function encodeIndex(packs: readonly IndexedPack[]): Buffer {
  const writer = new ByteWriter(8 + packs.reduce((bytes, { entries }) => bytes + 44 + entries.length, 0));
  writer.u32(INDEX_VERSION).u32(packs.length);
  for (const { packId, content, epoch, entries } of packs) {
    writer.bytes(packId).u32(epoch).u32(encodePackContent(content));
    writer.u32(entries.length / PACK_ENTRY_BYTES).bytes(entries);
  }
  return writer.finish();
}

/** Reverses `encodeIndex`; entries are views. Errors: `OBJECT_DAMAGED` naming the object, for whatever no version 1 writes. */
export function decodeIndex(body: Uint8Array, name: string): IndexedPack[] {
  const packs: IndexedPack[] = [];
  try {
    const reader = new ByteReader(body);
    if (reader.u32() !== INDEX_VERSION)
      throw damagedObject(name, 'Its content is authentic but is no index of version 1.');
    for (let left = reader.u32(); left > 0; left--) {
      const packId = reader.bytes(32);
      const epoch = reader.u32();
      const content = decodePackContent(reader.u32());
      const entries = reader.bytes(reader.u32() * PACK_ENTRY_BYTES);
      if (content === null || !arePackEntriesValid(entries)) {
        throw damagedObject(name, `What it says of pack ${packId.toString('hex')} is not possible.`);
      }
      packs.push({ packId, content, epoch, entries });
    }
    reader.end();
  } catch (error) {
    throw damagedObject(name, 'Its content is authentic but is not an index.', error);
  }
  return packs;
}

/**
 * Names the chunks of packs that are durable, so that others find them; as many objects as the packs need. Gives their names.
 *
 * `lease`: of the run that does it. One that stood still for so long that its packs may have been deleted, and that this is forgotten, must not name them any
 * more; where it stood still on the way to the store they are announced, so that nobody counts on them (`docs/prune.md`).
 * Errors: `BACKUP_TOO_LONG`; those of the store.
 */
export async function writeIndexObjects(
  objects: SealedObjects,
  packs: readonly IndexedPack[],
  lease?: Lease,
): Promise<string[]> {
  const names: string[] = [];
  for (const group of groupPacks(packs)) {
    refuseTooLong(lease);
    names.push(await objects.putDrawn('index', kindPrefix('index'), encodeIndex(group)));
    if (lease === undefined || lease.elapsedMs <= LONGEST_RUN_MS) continue;
    await writeTombstone(objects, { packs: group.map(({ packId }) => Buffer.from(packId).toString('hex')) });
    refuseTooLong(lease);
  }
  return names;
}

function refuseTooLong(lease: Lease | undefined): void {
  if (lease !== undefined && lease.elapsedMs > LONGEST_RUN_MS) throw lease.tooLong(lease.elapsedMs);
}

function groupPacks(packs: readonly IndexedPack[]): IndexedPack[][] {
  const groups: IndexedPack[][] = [];
  let chunks = Number.POSITIVE_INFINITY;
  for (const pack of packs) {
    const count = pack.entries.length / PACK_ENTRY_BYTES;
    if (chunks + count > INDEX_CHUNKS_MAX) {
      groups.push([]);
      chunks = 0;
    }
    groups.at(-1)!.push(pack);
    chunks += count;
  }
  return groups;
}
