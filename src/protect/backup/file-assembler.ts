import { crc32c } from '@node-rs/crc32';
import { assert, copyBytes } from '../../lib/index.ts';
import {
  FINGERPRINT_PAGE_BYTES,
  type IngestResult,
  type IngestSlab,
  SLAB_BYTES,
  SLAB_PIECES_MAX,
  type TreeEntry,
} from '../../repository/index.ts';
import type { CollectedFile } from './collected-file.ts';
import { EntryTable } from './entry-table.ts';
import { SLOT_BYTES } from './leaf-collector.ts';
import { type CollectorStores, MapCollector } from './map-collector.ts';
import type { PreviousFile } from './previous/index.ts';

/** What is known of a file before its bytes come. `size` is null when only the end will tell. */
export interface FileHead {
  path: string;
  mode: number;
  mtimeMs: number;
  size: number | null;
  /** Whether the bytes are pages of PostgreSQL, so that each gets a fingerprint. */
  paged: boolean;
  /** The same file in an older backup, over whose map this one is written; null or left out when there is none. */
  previous?: PreviousFile | null;
}

interface OpenFile {
  head: FileHead;
  row: number;
  received: number;
  crc: number;
  pieces: CollectedFile;
}

/**
 * Cuts a stream of files into pieces in slabs, of which a `MapCollector` makes chunks and maps.
 *
 * Pieces begin at multiples of 1 MiB of their file, so that the same file cut again gives the same chunks. Small files share a slab.
 * The bytes of one file must come in order.
 */
export class FileAssembler {
  /** What has come so far; the contents of a file are known some time after its end. */
  readonly entries = new EntryTable();
  readonly collector: MapCollector;
  readonly #pipeline: CollectorStores['pipeline'];
  #slab: IngestSlab | null = null;
  #slabUsed = 0;
  #pieceAt = 0;
  /** Bytes in the open piece, −1 while none is open. */
  #pieceLength = -1;
  #file: OpenFile | null = null;

  constructor(stores: CollectorStores) {
    this.#pipeline = stores.pipeline;
    this.collector = new MapCollector(this.entries, stores);
  }

  /** Adds a directory or a link as it is. */
  addEntry(entry: Exclude<TreeEntry, { type: 'file' }>): void {
    this.entries.addOther(entry);
  }

  beginFile(head: FileHead): void {
    assert(this.#file === null, 'one file at a time');
    const row = this.entries.addFile(head);
    const pieces = this.collector.beginFile(row, { paged: head.paged, previous: head.previous ?? null });
    this.#file = { head, row, received: 0, crc: 0, pieces };
  }

  /** Takes the next bytes of the open file; gives a promise only when it has to wait: for a free slab, or for the map of an older backup. */
  write(bytes: Uint8Array): void | Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const room = this.#roomInPiece();
      if (typeof room !== 'number') {
        const left = rest;
        return room.then(() => this.write(left));
      }
      const part = rest.subarray(0, room);
      this.#take(part);
      rest = rest.subarray(part.length);
    }
  }

  /** Ends the open file. */
  endFile(): void {
    const file = this.#file!;
    assert(file.head.size === null || file.received === file.head.size, 'a file has the size that its header names');
    this.#cutPiece(true);
    this.#file = null;
    this.entries.setReceived(file.row, { size: file.received, crc32c: file.crc });
    file.pieces.end();
  }

  /** Hands over the last slab and waits until every file's map is known: then `entries` is complete. */
  async finish(): Promise<IngestResult> {
    assert(this.#file === null, 'the last file was ended');
    if (this.#slab !== null) this.#pipeline.submit(this.#slab);
    this.#slab = null;
    return this.collector.finish();
  }

  /** Gives up whatever came, also in the middle of a file. The pipeline can go on with another assembler afterwards. */
  async abandon(): Promise<void> {
    this.#file = null;
    if (this.#slab !== null) this.#pipeline.submit(this.#slab);
    this.#slab = null;
    await this.collector.settle();
  }

  /** Bytes that fit into the open piece, or what has to be waited for first. Begins a piece where none is open. */
  #roomInPiece(): number | Promise<void> {
    const file = this.#file!;
    const inPiece = file.received % SLOT_BYTES;
    if (inPiece === 0) {
      if (file.received > 0) this.#cutPiece(false);
      if (this.#pieceLength === -1) {
        const preparing = file.pieces.prepare();
        if (preparing !== undefined) return preparing;
        if (!this.#beginPiece()) return this.#nextSlab();
      }
    }
    return SLOT_BYTES - inPiece;
  }

  /** Finds a place for the next piece in the slab at hand; false when there is none. */
  #beginPiece(): boolean {
    if (this.#pieceLength !== -1) return true;
    if (this.#slab === null) {
      this.#slab = this.#pipeline.tryAcquireSlab();
      this.#slabUsed = 0;
      if (this.#slab === null) return false;
    }
    const file = this.#file!;
    const left = file.head.size === null ? SLOT_BYTES : file.head.size - file.received;
    const wanted = Math.min(SLOT_BYTES, left);
    const at = file.head.paged ? roundUp(this.#slabUsed, FINGERPRINT_PAGE_BYTES) : this.#slabUsed;
    if (at + wanted > SLAB_BYTES || this.#slab.view.count >= SLAB_PIECES_MAX) {
      this.#pipeline.submit(this.#slab);
      this.#slab = null;
      return this.#beginPiece();
    }
    this.#pieceAt = at;
    this.#pieceLength = 0;
    return true;
  }

  #take(part: Uint8Array): void {
    const file = this.#file!;
    copyBytes(part, this.#slab!.bytes, this.#pieceAt + this.#pieceLength);
    file.crc = crc32c(part, file.crc);
    this.#pieceLength += part.length;
    file.received += part.length;
  }

  /** Gives the open piece to the collector; `last` when the file ends here. */
  #cutPiece(last: boolean): void {
    const [at, length] = [this.#pieceAt, this.#pieceLength];
    if (length > 0) {
      this.#slabUsed = at + length;
      this.#file!.pieces.addPiece(this.#slab!, { at, length, last });
    }
    this.#pieceLength = -1;
  }

  async #nextSlab(): Promise<void> {
    this.#slab = await this.#pipeline.acquireSlab();
    this.#slabUsed = 0;
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
