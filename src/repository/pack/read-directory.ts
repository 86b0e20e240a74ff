import { damagedObject, decodeHeader, HEADER_BYTES } from '../codec/index.ts';
import type { KeyRing } from '../key/index.ts';
import { objectAbsent } from '../object-store/basics/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import {
  PACK_TRAILER_BYTES,
  PACK_TRAILER_MAGIC,
  type PackContent,
  PackOpener,
  packContentOf,
  packName,
} from './opener/index.ts';

/** What a pack says of itself. `entries`: 40 bytes for each chunk. */
export interface PackDirectory {
  packId: Buffer;
  content: PackContent;
  epoch: number;
  entries: Buffer;
  /** Bytes of the whole object. */
  size: number;
}

/**
 * Reads the header and the directory of a stored pack: three small requests, no chunk.
 *
 * Errors: `OBJECT_ABSENT`; `OBJECT_DAMAGED` naming the pack; `KEY_EPOCH_ABSENT`; those of the store.
 */
export async function readPackDirectory(store: ObjectStore, keys: KeyRing, packId: Uint8Array): Promise<PackDirectory> {
  const name = packName(packId);
  const stat = await store.stat(name);
  if (stat === null) throw objectAbsent(name, store.description);
  const { size } = stat;
  if (size < HEADER_BYTES + PACK_TRAILER_BYTES) throw damagedObject(name, `It has ${size} bytes, too few for a pack.`);
  const { content, epoch } = checkHeader(await store.getRange(name, 0, HEADER_BYTES), keys, packId);
  const trailer = await store.getRange(name, size - PACK_TRAILER_BYTES, PACK_TRAILER_BYTES);
  const frameLength = trailer.readUInt32LE(0);
  const offset = size - PACK_TRAILER_BYTES - frameLength;
  if (!trailer.subarray(4).equals(PACK_TRAILER_MAGIC) || offset < HEADER_BYTES) {
    throw damagedObject(name, 'Expected the length of a directory and "HFPD" at its end, found something else.');
  }
  const opener = new PackOpener({ keys, packId, content, epoch });
  const entries = opener.openDirectory(offset, await store.getRange(name, offset, frameLength));
  if (entries === null) throw damagedObject(name, `Its directory at offset ${offset} is not authentic.`);
  return { packId: Buffer.from(packId), content, epoch, entries, size };
}

function checkHeader(bytes: Buffer, keys: KeyRing, packId: Uint8Array): { content: PackContent; epoch: number } {
  const name = packName(packId);
  const header = decodeHeader(bytes, name);
  const content = packContentOf(header.kind);
  if (content === null) throw damagedObject(name, `Expected a pack, found an object of kind "${header.kind}".`);
  if (!Buffer.from(header.repositoryId).equals(keys.repositoryId)) {
    throw damagedObject(name, 'Expected a pack of this repository, found one of another.');
  }
  if (!Buffer.from(header.objectId).equals(packId)) {
    throw damagedObject(name, 'Expected the object id of its name in its header, found another.');
  }
  return { content, epoch: header.epoch };
}
