import { randomBytes } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writevSync } from 'node:fs';
import { assert, codeOf, giveBack } from '../../lib/index.ts';
import { encodeHeader, FrameSealer, HEADER_BYTES, OBJECT_ID_BYTES, TAG_BYTES } from '../codec/index.ts';
import type { KeyRing } from '../key/index.ts';
import { storeErrorOf } from '../object-store/basics/index.ts';
import {
  CHUNK_BYTES_MAX,
  DIRECTORY_HEAD_BYTES,
  PACK_ENTRY_BYTES,
  PACK_TRAILER_BYTES,
  PACK_TRAILER_MAGIC,
  type PackContent,
  packKind,
  packName,
  writeDirectoryHead,
} from './opener/index.ts';

/** No pack is larger than this: one PUT each, small enough to be repeated. */
export const PACK_BYTES_MAX = 64 << 20;

/** A pack is closed when it has this many chunks, so that its directory stays below 2.7 MB. */
export const PACK_CHUNKS_MAX = 65_535;

/** Frames smaller than this are gathered, larger ones are written from where they are. */
const GATHERED_FRAME_BYTES_MAX = 64 << 10;

/** Gathered bytes per write: past this size a system call costs little beside the copying. */
const GATHER_BYTES = 256 << 10;

/** A whole pack in its spool file, closed, not yet synced: `ObjectStore.putFileIfAbsent(name, spoolPath)` takes it over. */
export interface FinishedPack {
  packId: Buffer;
  name: string;
  content: PackContent;
  epoch: number;
  spoolPath: string;
  /** Bytes of the file. */
  size: number;
  count: number;
  /** 40 bytes for each chunk, as in the directory. */
  entries: Buffer;
}

/**
 * Writes one pack into a spool file: chunks in the order given, then the directory.
 *
 * The object id is drawn here and the pack is never reopened, so that no nonce is used twice (rule A7): after an error,
 * `abandon` is all that may follow. Synchronous, for use in a worker thread.
 * Errors: `STORE_FULL`, `STORE_DENIED`, `STORE_FAILED` for the spool file.
 */
export class PackWriter {
  readonly packId = randomBytes(OBJECT_ID_BYTES);
  readonly #content: PackContent;
  readonly #epoch: number;
  readonly #spoolPath: string;
  readonly #frames: FrameSealer;
  readonly #gathered = Buffer.allocUnsafe(GATHER_BYTES);
  #gatheredBytes = 0;
  #descriptor: number | null;
  #size = HEADER_BYTES;
  #count = 0;
  #directory = Buffer.alloc(DIRECTORY_HEAD_BYTES + 256 * PACK_ENTRY_BYTES);

  constructor(options: { keys: KeyRing; content: PackContent; spoolPath: string }) {
    this.#content = options.content;
    this.#epoch = options.keys.currentEpoch;
    this.#spoolPath = options.spoolPath;
    const kind = packKind(options.content);
    const header = encodeHeader({
      kind,
      epoch: this.#epoch,
      objectId: this.packId,
      repositoryId: options.keys.repositoryId,
    });
    this.#frames = new FrameSealer(options.keys.objectKey(kind, this.packId, this.#epoch), header);
    try {
      this.#descriptor = openSync(options.spoolPath, 'wx');
    } catch (error) {
      throw storeErrorOf(error, `create spool file "${options.spoolPath}"`);
    }
    this.#gather(header);
  }

  /** Bytes of the pack so far, without its directory. */
  get size(): number {
    return this.#size;
  }

  /** Chunks so far. */
  get count(): number {
    return this.#count;
  }

  /** Whether a chunk of the greatest size might not fit any more. */
  get isFull(): boolean {
    const directoryBytes = DIRECTORY_HEAD_BYTES + (this.#count + 1) * PACK_ENTRY_BYTES;
    const withOneMore = this.#size + CHUNK_BYTES_MAX + directoryBytes + 2 * TAG_BYTES + PACK_TRAILER_BYTES;
    return withOneMore > PACK_BYTES_MAX || this.#count >= PACK_CHUNKS_MAX;
  }

  /** Adds a chunk. `compressed` is zstd of `raw` when that is smaller, otherwise `null`. Both are done with on return. */
  append(id: Uint8Array, raw: Uint8Array, compressed: Uint8Array | null): void {
    assert(this.#count < PACK_CHUNKS_MAX, 'a full pack takes no more chunks');
    assert(id.length === 32 && raw.length <= CHUNK_BYTES_MAX, 'a chunk has an identity of 32 bytes and at most 1 MiB');
    assert(
      compressed === null || compressed.length < raw.length,
      'a chunk is stored compressed only when that is smaller',
    );
    const [ciphertext, tag] = this.#frames.seal({ offset: this.#size, role: 'chunk', context: id }, compressed ?? raw);
    const frameLength = ciphertext.length + TAG_BYTES;
    this.#write(ciphertext, tag);
    // What was written is of no use any more, and a buffer of its size would otherwise wait for a collection.
    giveBack(ciphertext);
    this.#addEntry(id, frameLength, raw.length);
    this.#size += frameLength;
  }

  /** Writes the directory and closes the file. */
  finish(): FinishedPack {
    const used = this.#directory.subarray(0, DIRECTORY_HEAD_BYTES + this.#count * PACK_ENTRY_BYTES);
    writeDirectoryHead(used, this.#content, this.#count);
    const name = packName(this.packId);
    const context = Buffer.from(name, 'utf8');
    const [ciphertext, tag] = this.#frames.seal({ offset: this.#size, role: 'pack-directory', context }, used);
    const trailer = Buffer.alloc(PACK_TRAILER_BYTES);
    trailer.writeUInt32LE(ciphertext.length + TAG_BYTES, 0);
    trailer.set(PACK_TRAILER_MAGIC, 4);
    this.#write(ciphertext, tag, trailer);
    this.#flush();
    this.#close();
    return {
      packId: this.packId,
      name,
      content: this.#content,
      epoch: this.#epoch,
      spoolPath: this.#spoolPath,
      size: this.#size + ciphertext.length + TAG_BYTES + PACK_TRAILER_BYTES,
      count: this.#count,
      entries: used.subarray(DIRECTORY_HEAD_BYTES),
    };
  }

  /** Throws the unfinished pack away; safe to call at any time, also after `finish`, whose file it leaves alone. */
  abandon(): void {
    if (this.#descriptor === null) return;
    this.#close();
    try {
      unlinkSync(this.#spoolPath);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw storeErrorOf(error, `remove spool file "${this.#spoolPath}"`);
    }
  }

  #addEntry(id: Uint8Array, frameLength: number, rawLength: number): void {
    const at = DIRECTORY_HEAD_BYTES + this.#count * PACK_ENTRY_BYTES;
    if (at + PACK_ENTRY_BYTES > this.#directory.length) {
      const grown = Buffer.alloc(this.#directory.length * 2);
      grown.set(this.#directory, 0);
      this.#directory = grown;
    }
    this.#directory.set(id, at);
    this.#directory.writeUInt32LE(frameLength, at + 32);
    this.#directory.writeUInt32LE(rawLength, at + 36);
    this.#count += 1;
  }

  #write(...parts: Buffer[]): void {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (bytes > GATHERED_FRAME_BYTES_MAX) {
      this.#flush(parts);
      return;
    }
    if (this.#gatheredBytes + bytes > GATHER_BYTES) this.#flush();
    for (const part of parts) this.#gather(part);
  }

  #gather(part: Buffer): void {
    this.#gathered.set(part, this.#gatheredBytes);
    this.#gatheredBytes += part.length;
  }

  /** Writes what was gathered and then `more`, in as few calls as the system needs. */
  #flush(more: Buffer[] = []): void {
    assert(this.#descriptor !== null, 'a finished or abandoned pack is not written to');
    let parts = [this.#gathered.subarray(0, this.#gatheredBytes), ...more].filter((part) => part.length > 0);
    this.#gatheredBytes = 0;
    try {
      while (parts.length > 0) parts = dropWritten(parts, writevSync(this.#descriptor, parts));
    } catch (error) {
      throw storeErrorOf(error, `write spool file "${this.#spoolPath}"`);
    }
  }

  #close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }
}

/** What is left of the parts when the system took only so many bytes. */
function dropWritten(parts: Buffer[], written: number): Buffer[] {
  let left = written;
  const rest: Buffer[] = [];
  for (const part of parts) {
    const taken = Math.min(left, part.length);
    left -= taken;
    if (taken < part.length) rest.push(part.subarray(taken));
  }
  return rest;
}
