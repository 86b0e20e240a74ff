import { assert } from '../../../lib/index.ts';
import { type EnvelopeKind, kindPrefix, type PackKind, TAG_BYTES } from '../../codec/index.ts';

/** What the chunks of a pack are: contents of files, or nodes and map leaves of trees. */
export type PackContent = 'data' | 'tree';

/** Bytes of one entry: 32 identity · u32 frame length · u32 raw length. */
export const PACK_ENTRY_BYTES = 40;

/** The most raw bytes of one chunk, `chunkSize` in `format`. */
export const CHUNK_BYTES_MAX = 1 << 20;

/** Bytes before the first entry of a directory. */
export const DIRECTORY_HEAD_BYTES = 8;

/** The clear end of a pack: u32 length of the directory frame · `HFPD`. */
export const PACK_TRAILER_BYTES = 8;
export const PACK_TRAILER_MAGIC = Buffer.from('HFPD', 'latin1');

const DIRECTORY_VERSION = 1;
const contentBytes: Record<PackContent, number> = { data: 1, tree: 2 };

export function packKind(content: PackContent): PackKind {
  return content === 'data' ? 'data-pack' : 'tree-pack';
}

/** The content of a pack of this kind, `null` for a kind that is no pack. */
export function packContentOf(kind: EnvelopeKind): PackContent | null {
  if (kind === 'data-pack') return 'data';
  return kind === 'tree-pack' ? 'tree' : null;
}

export function packName(packId: Uint8Array): string {
  return kindPrefix('data-pack') + Buffer.from(packId).toString('hex');
}

/** One byte for the content, as directories and index objects have it. */
export function encodePackContent(content: PackContent): number {
  return contentBytes[content];
}

/** Reverses `encodePackContent`; `null` for a byte that no version writes. */
export function decodePackContent(byte: number): PackContent | null {
  if (byte === contentBytes.data) return 'data';
  return byte === contentBytes.tree ? 'tree' : null;
}

/** Where one chunk lies in its pack. Offsets and lengths in bytes. */
export interface PackEntry {
  id: Buffer;
  offset: number;
  frameLength: number;
  rawLength: number;
}

/** Writes the head of a directory: u8 version 1 · u8 content · u16 zero · u32 count. */
export function writeDirectoryHead(target: Buffer, content: PackContent, count: number): void {
  target.writeUInt8(DIRECTORY_VERSION, 0);
  target.writeUInt8(contentBytes[content], 1);
  target.writeUInt16LE(0, 2);
  target.writeUInt32LE(count, 4);
}

/**
 * The entries of a plain directory, 40 bytes each, as a view; `null` when it is not a directory of this content.
 * Lengths are checked, so that `listPackEntries` of the result cannot run astray.
 */
export function decodeDirectory(plain: Buffer, content: PackContent): Buffer | null {
  if (plain.length < DIRECTORY_HEAD_BYTES) return null;
  const wellFormed =
    plain.readUInt8(0) === DIRECTORY_VERSION &&
    plain.readUInt8(1) === contentBytes[content] &&
    plain.readUInt16LE(2) === 0 &&
    plain.readUInt32LE(4) * PACK_ENTRY_BYTES === plain.length - DIRECTORY_HEAD_BYTES;
  if (!wellFormed) return null;
  const entries = plain.subarray(DIRECTORY_HEAD_BYTES);
  return arePackEntriesValid(entries) ? entries : null;
}

/** Whether bytes can be entries at all: whole, and each frame no longer than its raw bytes and a tag. */
export function arePackEntriesValid(entries: Buffer): boolean {
  if (entries.length % PACK_ENTRY_BYTES !== 0) return false;
  for (let at = 0; at < entries.length; at += PACK_ENTRY_BYTES) {
    const frameLength = entries.readUInt32LE(at + 32);
    const rawLength = entries.readUInt32LE(at + 36);
    if (rawLength > CHUNK_BYTES_MAX || frameLength < TAG_BYTES || frameLength > rawLength + TAG_BYTES) return false;
  }
  return true;
}

/** Yields the entries with the offsets that follow from the lengths before them; frames begin at `firstOffset`. */
export function* listPackEntries(bytes: Uint8Array, firstOffset: number): Generator<PackEntry, void> {
  assert(bytes.length % PACK_ENTRY_BYTES === 0, 'pack entries are whole');
  // What came from a worker thread is no Buffer any more.
  const entries = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let offset = firstOffset;
  for (let at = 0; at < entries.length; at += PACK_ENTRY_BYTES) {
    const frameLength = entries.readUInt32LE(at + 32);
    yield { id: entries.subarray(at, at + 32), offset, frameLength, rawLength: entries.readUInt32LE(at + 36) };
    offset += frameLength;
  }
}
