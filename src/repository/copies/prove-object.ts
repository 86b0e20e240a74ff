import { createHash } from 'node:crypto';
import { BodyOpener, damagedObject, decodeHeader, HEADER_BYTES, kindPrefix, type ObjectKind } from '../codec/index.ts';
import { FEATURE_BODY, FEATURE_PREFIX, FORMAT_NAME } from '../format/index.ts';
import { isKeyObjectOurs, type KeyRing, SLOT_PREFIX } from '../key/index.ts';
import { type ObjectStore, objectAbsent } from '../object-store/index.ts';
import { listPackEntries, PackOpener, packName, readPackDirectory } from '../pack/index.ts';

/** Bytes read at once. */
const PART_BYTES = 4 << 20;

/** What proves objects: the keys, and for `format` its SHA-256, which the keys repeat. */
export interface Provers {
  readonly keys: KeyRing;
  readonly formatSha256: string;
}

/**
 * Reads every byte of an object in one place and proves it.
 *
 * What lies under `keys/` has no envelope, but is signed; of a slot of the first form only the form can be looked at.
 * Errors: `OBJECT_DAMAGED`, `CHUNK_DAMAGED` and whatever else damage looks like; `OBJECT_ABSENT`; those of the store.
 */
export async function proveObject({ keys, formatSha256 }: Provers, from: ObjectStore, name: string): Promise<void> {
  if (name === FORMAT_NAME) return proveFormat(from, formatSha256);
  if (name.startsWith(SLOT_PREFIX)) return proveKeyObject(keys, from, name);
  if (name.startsWith(FEATURE_PREFIX)) return proveFeature(from, name);
  if (name.startsWith(kindPrefix('data-pack'))) return provePack(keys, from, name);
  return proveBody(keys, from, name);
}

async function proveFormat(from: ObjectStore, expected: string): Promise<void> {
  const found = createHash('sha256')
    .update(await from.get(FORMAT_NAME))
    .digest('hex');
  if (found !== expected) throw damagedObject(FORMAT_NAME, `Expected SHA-256 ${expected}, found ${found}.`);
}

async function proveKeyObject(keys: KeyRing, from: ObjectStore, name: string): Promise<void> {
  if (isKeyObjectOurs(keys, name, await from.get(name))) return;
  throw damagedObject(name, 'Expected it as this repository has signed it, found something else.');
}

async function proveFeature(from: ObjectStore, name: string): Promise<void> {
  if ((await from.get(name)).equals(FEATURE_BODY)) return;
  throw damagedObject(name, 'Expected the body that every feature has, found another one.');
}

async function provePack(keys: KeyRing, from: ObjectStore, name: string): Promise<void> {
  const id = name.slice(kindPrefix('data-pack').length);
  const packId = Buffer.from(id, 'hex');
  if (packName(packId) !== name) throw damagedObject(name, 'Its name is none of a pack.');
  const { content, epoch, entries } = await readPackDirectory(from, keys, packId);
  const opener = new PackOpener({ keys, packId, content, epoch });
  let part: { start: number; bytes: Buffer } = { start: 0, bytes: Buffer.alloc(0) };
  const list = [...listPackEntries(entries, HEADER_BYTES)];
  const end = list.reduce((_, { offset, frameLength }) => offset + frameLength, HEADER_BYTES);
  for (const entry of list) {
    if (entry.offset + entry.frameLength > part.start + part.bytes.length) {
      const length = Math.max(entry.frameLength, Math.min(PART_BYTES, end - entry.offset));
      part = { start: entry.offset, bytes: await from.getRange(name, entry.offset, length) };
    }
    const at = entry.offset - part.start;
    opener.openChunkFrame(entry, part.bytes.subarray(at, at + entry.frameLength));
  }
}

async function proveBody(keys: KeyRing, from: ObjectStore, name: string): Promise<void> {
  const stat = await from.stat(name);
  if (stat === null) throw objectAbsent(name, from.description);
  let opener: BodyOpener | null = null;
  for (let at = 0; at < stat.size; at += PART_BYTES) {
    const bytes = await from.getRange(name, at, Math.min(PART_BYTES, stat.size - at));
    opener ??= new BodyOpener(keys, { kind: kindIn(bytes, name), name });
    // Whatever a piece says is proved by being opened.
    for (const _ of opener.push(bytes));
  }
  if (opener === null) throw damagedObject(name, 'It is empty.');
  opener.finish();
}

/** The header's word for it is proved by the first frame, whose key depends on it. */
function kindIn(bytes: Buffer, name: string): ObjectKind {
  const { kind } = decodeHeader(bytes, name);
  if (kind === 'data-pack' || kind === 'tree-pack' || !name.startsWith(kindPrefix(kind)))
    throw damagedObject(name, `Expected an object that belongs there, found one of kind "${kind}".`);
  return kind;
}
