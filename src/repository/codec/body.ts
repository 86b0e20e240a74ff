import { type KeyObject, randomBytes } from 'node:crypto';
import { assert, giveBack, HoldfastError } from '../../lib/index.ts';
import { COMPRESSION_LEVEL, type CompressionTuning, compressForNow, decompress, WAL_TUNING } from './compression.ts';
import { type FramePlace, FrameSealer, TAG_BYTES } from './frame.ts';
import { damagedObject, decodeHeader, encodeHeader, HEADER_BYTES, OBJECT_ID_BYTES } from './header.ts';
import type { EnvelopeKind, ObjectKind } from './kind.ts';

/** The most bytes of a body in one piece. */
export const PIECE_BYTES_MAX = 1 << 20;

const LENGTH_BYTES = 8;

/** Where the codec asks for the key of an object; a key ring answers. */
export interface ObjectKeys {
  readonly repositoryId: Uint8Array;
  readonly currentEpoch: number;
  /** The key of one object; throws `KEY_EPOCH_ABSENT` for an epoch that the ring does not hold. */
  objectKey(kind: EnvelopeKind, objectId: Uint8Array, epoch: number): KeyObject;
}

/** What a body is and where it lies: both are authenticated. */
export interface BodyPlace {
  kind: ObjectKind;
  name: string;
}

/**
 * Seals a body for one name. Every call draws an object id of its own, so the same body sealed twice shares nothing.
 *
 * Returns the parts to be stored one after another: header · { u32 frame length · u32 plain length · frame } for each piece.
 */
export function sealBody(keys: ObjectKeys, place: BodyPlace, body: Uint8Array): Buffer[] {
  const sealer = new BodySealer(keys, place);
  return [sealer.header, ...sealer.sealAll(body)];
}

/**
 * Opens what `sealBody` made: every byte of it is checked before any is returned.
 *
 * Errors: `OBJECT_DAMAGED` naming the object and saying what was expected and found, also for an object of another name, kind
 * or repository; `OBJECT_NEWER`; `KEY_EPOCH_ABSENT`.
 */
export function openBody(keys: ObjectKeys, place: BodyPlace, sealed: Uint8Array): Buffer {
  const opener = new BodyOpener(keys, place);
  const pieces = [...opener.push(sealed), opener.finish()];
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** Seals a body piece by piece, for bodies that are not to be held in memory whole. */
export class BodySealer {
  readonly header: Buffer;
  readonly name: string;
  readonly #frames: FrameSealer;
  readonly #context: Buffer;
  readonly #tuning: CompressionTuning;
  #offset = HEADER_BYTES;
  #finished = false;

  constructor(keys: ObjectKeys, place: BodyPlace, objectId: Uint8Array = randomBytes(OBJECT_ID_BYTES)) {
    const epoch = keys.currentEpoch;
    this.name = place.name;
    this.header = encodeHeader({ kind: place.kind, epoch, objectId, repositoryId: keys.repositoryId });
    this.#frames = new FrameSealer(keys.objectKey(place.kind, objectId, epoch), this.header);
    this.#context = Buffer.from(place.name, 'utf8');
    this.#tuning = place.kind === 'wal-segment' || place.kind === 'wal-fragment' ? WAL_TUNING : {};
  }

  /** For a body whose name ends in its object id, which is drawn here. */
  static drawing(keys: ObjectKeys, kind: ObjectKind, directory: string): BodySealer {
    const objectId = randomBytes(OBJECT_ID_BYTES);
    return new BodySealer(keys, { kind, name: directory + objectId.toString('hex') }, objectId);
  }

  /** The parts of a whole body. */
  sealAll(body: Uint8Array): Buffer[] {
    const parts: Buffer[] = [];
    let at = 0;
    do {
      const end = Math.min(at + PIECE_BYTES_MAX, body.length);
      parts.push(...this.seal(body.subarray(at, end), end === body.length));
      at = end;
    } while (at < body.length);
    return parts;
  }

  /** The parts of one piece, at most 1 MiB of the body; `last` exactly for the one that ends it. */
  seal(piece: Uint8Array, last: boolean): Buffer[] {
    assert(!this.#finished, 'nothing follows the last piece of a body');
    assert(
      piece.length <= PIECE_BYTES_MAX && (last || piece.length > 0),
      'a piece is at most 1 MiB, and empty only at the end',
    );
    this.#finished = last;
    const compressed = compressForNow(piece, COMPRESSION_LEVEL, this.#tuning);
    const plain = compressed ?? piece;
    const lengths = Buffer.alloc(LENGTH_BYTES);
    lengths.writeUInt32LE(plain.length + TAG_BYTES, 0);
    lengths.writeUInt32LE(piece.length, 4);
    const [ciphertext, tag] = this.#frames.seal(pieceFrame(this.#offset, piece.length, last, this.#context), plain);
    if (compressed !== null) giveBack(compressed);
    this.#offset += LENGTH_BYTES + ciphertext.length + TAG_BYTES;
    return [lengths, ciphertext, tag];
  }
}

/** Opens a body from any split of its bytes; a piece is handed out when it is proved and the next one has begun. */
export class BodyOpener {
  readonly #keys: ObjectKeys;
  readonly #place: BodyPlace;
  readonly #name: Buffer;
  #frames: FrameSealer | null = null;
  #rest: Uint8Array = Buffer.alloc(0);
  #offset = 0;

  constructor(keys: ObjectKeys, place: BodyPlace) {
    this.#keys = keys;
    this.#place = place;
    this.#name = Buffer.from(place.name, 'utf8');
  }

  /** Takes the next bytes of the object and yields every piece that they complete, but not the last of the object. */
  *push(bytes: Uint8Array): Generator<Buffer, void> {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (this.#frames === null) {
      if (this.#rest.length < HEADER_BYTES) return;
      this.#frames = this.#openHeader(this.#rest.subarray(0, HEADER_BYTES));
      this.#advance(HEADER_BYTES);
    }
    for (let piece = this.#measure(); piece !== null && this.#rest.length > piece.end; piece = this.#measure()) {
      yield this.#openPiece(this.#frames, piece, false);
    }
  }

  /** The last piece. Throws `OBJECT_DAMAGED` when the bytes ended anywhere but behind the piece that was sealed as the last. */
  finish(): Buffer {
    if (this.#frames === null) decodeHeader(this.#rest, this.#place.name);
    const piece = this.#measure();
    if (this.#frames === null || piece === null || this.#rest.length !== piece.end) {
      const expected = piece === null ? 'the lengths of a piece' : `${piece.end} bytes of a piece`;
      throw this.#damaged(
        `Expected ${expected} at offset ${this.#offset}, found the end after ${this.#rest.length} bytes.`,
      );
    }
    return this.#openPiece(this.#frames, piece, true);
  }

  #openHeader(bytes: Uint8Array): FrameSealer {
    const header = decodeHeader(bytes, this.#place.name);
    if (!Buffer.from(header.repositoryId).equals(this.#keys.repositoryId)) {
      const [expected, found] = [this.#keys.repositoryId, header.repositoryId].map((id) =>
        Buffer.from(id).toString('hex'),
      );
      throw this.#damaged(`Expected an object of repository ${expected}, found one of repository ${found}.`);
    }
    if (header.kind !== this.#place.kind) {
      throw this.#damaged(`Expected an object of kind "${this.#place.kind}", found kind "${header.kind}".`);
    }
    return new FrameSealer(this.#keyOf(header.kind, header.objectId, header.epoch), bytes);
  }

  /** The epoch of a damaged header is one that nobody has, too: so the error names the object. */
  #keyOf(kind: EnvelopeKind, objectId: Uint8Array, epoch: number): KeyObject {
    try {
      return this.#keys.objectKey(kind, objectId, epoch);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== 'KEY_EPOCH_ABSENT') throw error;
      throw new HoldfastError(error.code, `cannot open object "${this.#place.name}" of key epoch ${epoch}`, {
        ...{ hints: error.hints, cause: error },
        ...(error.detail === undefined ? {} : { detail: error.detail }),
      });
    }
  }

  /** The lengths of the piece at the start of the rest, `null` while they are not there yet. */
  #measure(): Piece | null {
    if (this.#rest.length < LENGTH_BYTES) return null;
    const view = Buffer.from(this.#rest.buffer, this.#rest.byteOffset, LENGTH_BYTES);
    const frameLength = view.readUInt32LE(0);
    const plainLength = view.readUInt32LE(4);
    if (plainLength > PIECE_BYTES_MAX || frameLength < TAG_BYTES || frameLength - TAG_BYTES > plainLength) {
      throw this.#damaged(
        `Expected a piece of at most 1 MiB at offset ${this.#offset}, found lengths ${frameLength} and ${plainLength}.`,
      );
    }
    return { end: LENGTH_BYTES + frameLength, frameLength, plainLength };
  }

  #openPiece(frames: FrameSealer, piece: Piece, last: boolean): Buffer {
    const frame = pieceFrame(this.#offset, piece.plainLength, last, this.#name);
    const opened = frames.open(frame, this.#rest.subarray(LENGTH_BYTES, piece.end));
    if (opened === null) {
      throw this.#damaged(
        `Its ${last ? 'last piece' : 'piece'} at offset ${this.#offset} is not authentic: changed, cut, or another object's.`,
      );
    }
    const compressed = piece.frameLength - TAG_BYTES < piece.plainLength;
    const plain = compressed ? decompress(opened, piece.plainLength) : opened;
    if (compressed) giveBack(opened);
    if (plain === null) throw this.#damaged(`The piece at offset ${this.#offset} is authentic but is not valid zstd.`);
    this.#advance(piece.end);
    return plain;
  }

  #advance(bytes: number): void {
    this.#rest = this.#rest.subarray(bytes);
    this.#offset += bytes;
  }

  #damaged(detail: string) {
    return damagedObject(this.#place.name, detail);
  }
}

interface Piece {
  /** Bytes from the start of its lengths to the end of its frame. */
  end: number;
  frameLength: number;
  plainLength: number;
}

/** The plain length is authenticated too: it decides whether the content is taken as compressed. */
function pieceFrame(offset: number, plainLength: number, last: boolean, name: Buffer): FramePlace {
  const context = Buffer.allocUnsafe(4 + name.length);
  context.writeUInt32LE(plainLength, 0);
  context.set(name, 4);
  return { offset: offset + LENGTH_BYTES, role: last ? 'last-piece' : 'piece', context };
}
