import { assert } from '../../lib/index.ts';
import { HEADER_BYTES } from '../codec/index.ts';
import { listPackEntries, type PackContent, type PackEntry } from '../pack/index.ts';
import type { IndexedPack } from './index-object.ts';
import { type PackInfo, PackList } from './pack-list.ts';
import { defaultScratchDirectory, RecordFile } from './record-file.ts';
import { TagTable } from './tag-table.ts';

/** One stored copy of a chunk. Offsets and lengths in bytes. */
export interface ChunkLocation {
  packNumber: number;
  packId: Buffer;
  content: PackContent;
  epoch: number;
  offset: number;
  frameLength: number;
  rawLength: number;
}

/** An index object that could not be read; its chunks are unknown, so writers store them again. */
export interface UnreadableIndex {
  name: string;
  reason: string;
}

const TABLES = 256;

/** 32 identity · u32 pack number · u32 offset · u32 frame length · u32 raw length. */
const RECORD_BYTES = 48;

/**
 * Every chunk of a repository and where its copies lie.
 *
 * Memory: the first byte of an identity chooses one of 256 tables, the next four bytes are its tag there; the whole identity and the location
 * are in a temporary file, which every hit is compared with. About 10 bytes for each chunk.
 * Synchronous and not shared between threads; `close` gives the file back.
 */
export class ChunkIndex {
  readonly unreadable: UnreadableIndex[] = [];
  readonly #tables: TagTable[];
  readonly #records: RecordFile;
  readonly #packs = new PackList();
  readonly #record = Buffer.alloc(RECORD_BYTES);
  #count = 0;

  /** `expectedChunks`: about how many will be added. */
  constructor(options: { scratchDirectory?: string; expectedChunks?: number } = {}) {
    const expected = (options.expectedChunks ?? 0) / TABLES;
    this.#tables = Array.from({ length: TABLES }, (_, i) => new TagTable(i / TABLES, expected));
    this.#records = new RecordFile(options.scratchDirectory ?? defaultScratchDirectory(), RECORD_BYTES);
  }

  /** Stored copies of chunks, doubtful ones included. */
  get count(): number {
    return this.#count;
  }

  get packCount(): number {
    return this.#packs.count;
  }

  get memoryBytes(): number {
    const tables = this.#tables.reduce((bytes, table) => bytes + table.memoryBytes, 0);
    return tables + this.#records.memoryBytes + this.#packs.memoryBytes;
  }

  /** Adds a pack whose chunks are durable; one that is known already changes nothing. */
  addPack(pack: IndexedPack, options: { doubtful?: boolean } = {}): void {
    const { packId, content, epoch } = pack;
    const number = this.#packs.add({
      packId: Buffer.from(packId),
      content,
      epoch,
      doubtful: options.doubtful ?? false,
    });
    if (number === null) return;
    for (const entry of listPackEntries(pack.entries, HEADER_BYTES)) this.#addEntry(number, entry);
  }

  /** Whether a writer may count on the chunk: it lies in a pack that is neither damaged nor about to go. */
  has(id: Uint8Array): boolean {
    for (const packNumber of this.#findPacks(id)) {
      if (!this.#packs.isDoubtful(packNumber)) return true;
    }
    return false;
  }

  /** Every copy of a chunk, doubtful ones last: for a reader they are a chance, as every frame is authenticated. */
  lookup(id: Uint8Array): ChunkLocation[] {
    const sound: ChunkLocation[] = [];
    const doubtful: ChunkLocation[] = [];
    for (const packNumber of this.#findPacks(id)) {
      const { packId, content, epoch, doubtful: isDoubtful } = this.#packs.at(packNumber);
      const offset = this.#record.readUInt32LE(36);
      const frameLength = this.#record.readUInt32LE(40);
      const rawLength = this.#record.readUInt32LE(44);
      (isDoubtful ? doubtful : sound).push({ packNumber, packId, content, epoch, offset, frameLength, rawLength });
    }
    return [...sound, ...doubtful];
  }

  packOf(packNumber: number): PackInfo {
    return this.#packs.at(packNumber);
  }

  *listPacks(): Generator<PackInfo, void> {
    for (let number = 0; number < this.#packs.count; number++) yield this.#packs.at(number);
  }

  /** From now on no writer counts on this pack. A pack that the index does not name is no error. */
  markDoubtful(packId: Uint8Array): void {
    const number = this.#packs.numberOf(packId);
    if (number !== undefined) this.#packs.markDoubtful(number);
  }

  close(): void {
    this.#records.close();
  }

  #addEntry(packNumber: number, entry: PackEntry): void {
    const record = this.#records.append((room) => {
      room.set(entry.id, 0);
      room.writeUInt32LE(packNumber, 32);
      room.writeUInt32LE(entry.offset, 36);
      room.writeUInt32LE(entry.frameLength, 40);
      room.writeUInt32LE(entry.rawLength, 44);
    });
    this.#tables[entry.id[0]!]!.add(tagOf(entry.id), record);
    this.#count += 1;
  }

  /** Yields the pack number of each copy; its whole record is in `#record` meanwhile. */
  *#findPacks(id: Uint8Array): Generator<number, void> {
    assert(id.length === 32, 'a chunk has an identity of 32 bytes');
    for (const record of this.#tables[id[0]!]!.find(tagOf(id))) {
      this.#records.read(record, this.#record);
      if (this.#record.compare(id, 0, 32, 0, 32) === 0) yield this.#record.readUInt32LE(32);
    }
  }
}

function tagOf(id: Uint8Array): number {
  return (id[1]! | (id[2]! << 8) | (id[3]! << 16) | (id[4]! << 24)) >>> 0;
}
