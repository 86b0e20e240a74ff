import { HoldfastError } from '../../lib/index.ts';
import { type EnvelopeKind, kindByte, kindOfByte } from './kind.ts';

/** Bytes of the clear header with which every object with an envelope starts. */
export const HEADER_BYTES = 64;

/** Bytes of an object id, random and never used twice. */
export const OBJECT_ID_BYTES = 32;

/** Bytes of a repository id. */
export const REPOSITORY_ID_BYTES = 16;

const magic = Buffer.from('HFOB', 'latin1');
const ENVELOPE_VERSION = 1;

/** What the 64 clear bytes say. */
export interface ObjectHeader {
  kind: EnvelopeKind;
  epoch: number;
  objectId: Uint8Array;
  repositoryId: Uint8Array;
}

/**
 * Makes the clear header of an object.
 *
 * Shape: `HFOB` · u8 version 1 · u8 kind · u16 zero · u32 key epoch · u32 zero · 32 object id · 16 repository id.
 */
export function encodeHeader(header: ObjectHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.set(magic, 0);
  bytes.writeUInt8(ENVELOPE_VERSION, 4);
  bytes.writeUInt8(kindByte(header.kind), 5);
  bytes.writeUInt32LE(header.epoch, 8);
  bytes.set(header.objectId, 16);
  bytes.set(header.repositoryId, 48);
  return bytes;
}

/**
 * Reads what `encodeHeader` made. Nothing of it is to be believed before a frame was opened with it.
 *
 * Errors: `OBJECT_DAMAGED` naming the object, for fewer than 64 bytes and for whatever no version writes;
 * `OBJECT_NEWER` for a later envelope version.
 */
export function decodeHeader(bytes: Uint8Array, name: string): ObjectHeader {
  if (bytes.length < HEADER_BYTES) {
    throw damagedObject(name, `Expected a header of ${HEADER_BYTES} bytes, found ${bytes.length} bytes.`);
  }
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (!view.subarray(0, 4).equals(magic)) {
    throw damagedObject(name, `Expected "HFOB" at its start, found 0x${view.subarray(0, 4).toString('hex')}.`);
  }
  const version = view.readUInt8(4);
  if (version !== ENVELOPE_VERSION) {
    throw new HoldfastError('OBJECT_NEWER', `cannot read object "${name}": its envelope is of version ${version}`, {
      detail: `Expected envelope version ${ENVELOPE_VERSION}, found ${version}: a later version wrote the object, or it is damaged.`,
      hints: [
        'Install a newer version of Holdfast.',
        'Run `holdfast verify` to see whether other objects are readable.',
      ],
    });
  }
  const kind = kindOfByte(view.readUInt8(5));
  if (kind === undefined) throw damagedObject(name, `Its kind byte ${view.readUInt8(5)} is unrecognized.`);
  if (view.readUInt16LE(6) !== 0 || view.readUInt32LE(12) !== 0) {
    throw damagedObject(name, 'Expected zeros in the reserved bytes of its header, found others.');
  }
  return {
    kind,
    epoch: view.readUInt32LE(8),
    objectId: view.subarray(16, 48),
    repositoryId: view.subarray(48, 64),
  };
}

/** The one error for bytes of an object that are not what was written. `detail` says what was expected and found. */
export function damagedObject(name: string, detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('OBJECT_DAMAGED', `cannot read object "${name}": it is damaged`, {
    detail,
    hints: ['Run `holdfast verify` to see what else is damaged and which snapshots need it.'],
    ...(cause === undefined ? {} : { cause }),
  });
}
