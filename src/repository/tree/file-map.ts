import { assert, ByteReader, ByteWriter } from '../../lib/index.ts';
import { treeInvalid } from './tree-invalid.ts';

/** Bytes of a file that one map leaf covers; the last may cover fewer. */
export const MAP_LEAF_BYTES = 8 << 20;

/** Bytes of a page fingerprint, one for each 8 KiB of the file. */
const FINGERPRINT_BYTES = 8;

const MAP_VERSION = 1;
const FLAG_FINGERPRINTS = 1;
const FORM_ZERO = 0;
const FORM_CHUNK = 1;

/** A run of a file's bytes: zeros, or bytes of a chunk from `offset` on. Lengths and offsets in bytes. */
export type Extent = { form: 'zero'; length: number } | { form: 'chunk'; length: number; id: Buffer; offset: number };

/** What a file, or 8 MiB of it, is made of, in order. `fingerprints`: 8 bytes for each page, or `null` when it has no pages. */
export interface FileMap {
  extents: Extent[];
  fingerprints: Buffer | null;
}

/** Bytes that a map describes. */
export function mapLength(map: FileMap): number {
  return map.extents.reduce((bytes, { length }) => bytes + length, 0);
}

/**
 * The bytes of a map, as they stand in a map leaf or in a tree's entry.
 *
 * Shape: u8 version 1 · u8 flags (1: fingerprints) · u16 zero · u32 extents × { u32 length · u8 form (0 zero, 1 chunk) · [32 identity · u32 offset] }
 * · with flag 1: u32 count × 8 fingerprint.
 */
export function encodeFileMap(map: FileMap): Buffer {
  const writer = new ByteWriter(64 + map.extents.length * 41 + (map.fingerprints?.length ?? 0));
  writeFileMap(writer, map);
  return writer.finish();
}

/** Reverses `encodeFileMap`. Errors: `TREE_INVALID`. */
export function decodeFileMap(bytes: Uint8Array): FileMap {
  try {
    const reader = new ByteReader(bytes);
    const map = readFileMapFrom(reader);
    reader.end();
    return map;
  } catch (error) {
    throw treeInvalid('a file map has a form that this version does not write', error);
  }
}

export function writeFileMap(writer: ByteWriter, map: FileMap): void {
  const { extents, fingerprints } = map;
  writer
    .u8(MAP_VERSION)
    .u8(fingerprints === null ? 0 : FLAG_FINGERPRINTS)
    .u16(0)
    .u32(extents.length);
  for (const extent of extents) {
    writer.u32(extent.length);
    if (extent.form === 'zero') writer.u8(FORM_ZERO);
    else writer.u8(FORM_CHUNK).bytes(extent.id).u32(extent.offset);
  }
  if (fingerprints !== null) {
    assert(fingerprints.length % FINGERPRINT_BYTES === 0, 'fingerprints are whole');
    writer.u32(fingerprints.length / FINGERPRINT_BYTES).bytes(fingerprints);
  }
}

/** Reads a map where it stands; the identities and fingerprints are views. */
export function readFileMapFrom(reader: ByteReader): FileMap {
  const version = reader.u8();
  const flags = reader.u8();
  if (version !== MAP_VERSION || flags > FLAG_FINGERPRINTS || reader.u16() !== 0) {
    throw treeInvalid(`a file map has version ${version} and flags ${flags}`);
  }
  const extents: Extent[] = [];
  for (let left = reader.u32(); left > 0; left--) extents.push(readExtent(reader));
  const fingerprints = flags === FLAG_FINGERPRINTS ? reader.bytes(reader.u32() * FINGERPRINT_BYTES) : null;
  return { extents, fingerprints };
}

function readExtent(reader: ByteReader): Extent {
  const length = reader.u32();
  const form = reader.u8();
  if (form === FORM_ZERO) return { form: 'zero', length };
  if (form === FORM_CHUNK) return { form: 'chunk', length, id: reader.bytes(32), offset: reader.u32() };
  throw treeInvalid(`an extent has form ${form}`);
}
