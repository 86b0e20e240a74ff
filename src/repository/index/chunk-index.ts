import { assert } from '../../lib/index.ts';
import { HEADER_BYTES } from '../codec/index.ts';
import { PACK_ENTRY_BYTES, type PackContent } from '../pack/index.ts';
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
  /** Of the pack: offset behind its last chunk. */
  chunksEnd: number;
}

/** An index object that could not be read; its chunks are unknown, so writers store them again. */
export interface UnreadableIndex {
  name: string;
  reason: string;
}

const TABLES = 256;

/** 32 identity · u32 pack number · u32 offset · u32 frame length · u32 raw length; numbers in the order of this machine. */
const RECORD_BYTES = 48;
const ID_WORDS = 8;
const ENTRY_WORDS = PACK_ENTRY_BYTES / 4;

/**
 * Every chunk of a repository and where its copies lie.
 *
 * Memory: the first byte of an identity chooses one of 256 tables, the next four bytes are its tag there; the whole identity and the location
 * are in a temporary file, which every hit is compared with. About 10 bytes for each chunk.
 * Synchronous and not shared between threads; `close` gives the file back.
 */
export class ChunkIndex {
  readonly unreadable: UnreadableIndex[] = [];
  /** Packs that tombstones named when the index was read, as 64 hexadecimal digits. */
  announced: ReadonlySet<string> = new Set();
  readonly #tables: TagTable[];
  readonly #records: RecordFile;
  readonly #packs = new PackList();
  readonly #countedOn = new Set<number>();
  readonly #record = Buffer.alloc(RECORD_BYTES);
  readonly #recordWords = new Uint32Array(this.#record.buffer, this.#record.byteOffset, RECORD_BYTES / 4);
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
    if (number !== null) this.#packs.noteChunksEnd(number, this.#addEntries(number, pack.entries));
  }

  /** Gives back the memory that adding many packs takes; more may be added at any time. */
  rest(): void {
    for (const table of this.#tables) table.rest();
  }

  /** Whether a writer may count on the chunk: it lies in a pack that is neither damaged nor about to go. Then the writer does, and that is noted. */
  has(id: Uint8Array): boolean {
    for (const packNumber of this.#findPacks(id)) {
      if (this.#packs.isDoubtful(packNumber)) continue;
      this.#countedOn.add(packNumber);
      return true;
    }
    return false;
  }

  /** As `has`, for a writer that does not know yet whether it will count on the chunk: nothing is noted. */
  knows(id: Uint8Array): boolean {
    for (const packNumber of this.#findPacks(id)) if (!this.#packs.isDoubtful(packNumber)) return true;
    return false;
  }

  /** Notes that a writer counts on a pack, as on one of its own making. */
  countOn(packId: Uint8Array): void {
    const number = this.#packs.numberOf(packId);
    if (number !== undefined) this.#countedOn.add(number);
  }

  /** The packs that a writer counts on since the index was opened, without those that became doubtful. */
  *listPacksCountedOn(): Generator<Buffer, void> {
    for (const number of this.#countedOn) if (!this.#packs.isDoubtful(number)) yield this.#packs.at(number).packId;
  }

  /** Every copy of a chunk, doubtful ones last: for a reader they are a chance, as every frame is authenticated. */
  lookup(id: Uint8Array): ChunkLocation[] {
    const sound: ChunkLocation[] = [];
    const doubtful: ChunkLocation[] = [];
    for (const packNumber of this.#findPacks(id)) {
      const { doubtful: isDoubtful, ...pack } = this.#packs.at(packNumber);
      const offset = this.#recordWords[9]!;
      const frameLength = this.#recordWords[10]!;
      const rawLength = this.#recordWords[11]!;
      (isDoubtful ? doubtful : sound).push({ ...pack, packNumber, offset, frameLength, rawLength });
    }
    return [...sound, ...doubtful];
  }

  /**
   * A number that stands for this chunk alone, from 0 to `count`, for who keeps a bit for each chunk; `null` for one that is not known. It
   * stays the same while the index is open.
   */
  numberOf(id: Uint8Array): number | null {
    for (const record of this.#tables[id[0]!]!.find(tagAt(id, 0))) {
      this.#records.read(record, this.#record);
      if (this.#record.compare(id, 0, 32, 0, 32) === 0) return record;
    }
    return null;
  }

  /** The number of a pack that the index names, as in a location; `undefined` for another one. */
  packNumberOf(packId: Uint8Array): number | undefined {
    return this.#packs.numberOf(packId);
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

  /** Gives back its file and its memory; nothing can be looked up any more. */
  close(): void {
    this.#records.close();
    this.#tables.length = 0;
  }

  /** The hot loop of opening a repository: no object is made for an entry, and identities move as words. Gives the offset behind the last chunk. */
  #addEntries(packNumber: number, entries: Uint8Array): number {
    assert(entries.length % PACK_ENTRY_BYTES === 0, 'pack entries are whole');
    const bytes = alignedOf(entries);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const room = this.#records.words;
    let offset = HEADER_BYTES;
    for (let from = 0; from < words.length; from += ENTRY_WORDS) {
      const at = from * 4;
      const record = this.#records.count;
      const to = this.#records.reserve();
      for (let word = 0; word < ID_WORDS; word++) room[to + word] = words[from + word]!;
      const frameLength = bytes.readUInt32LE(at + 32);
      room[to + 8] = packNumber;
      room[to + 9] = offset;
      room[to + 10] = frameLength;
      room[to + 11] = bytes.readUInt32LE(at + 36);
      offset += frameLength;
      this.#tables[bytes[at]!]!.add(tagAt(bytes, at), record);
    }
    this.#count += words.length / ENTRY_WORDS;
    return offset;
  }

  /** Yields the pack number of each copy; its whole record is in `#record` meanwhile. */
  *#findPacks(id: Uint8Array): Generator<number, void> {
    assert(id.length === 32, 'a chunk has an identity of 32 bytes');
    for (const record of this.#tables[id[0]!]!.find(tagAt(id, 0))) {
      this.#records.read(record, this.#record);
      if (this.#record.compare(id, 0, 32, 0, 32) === 0) yield this.#recordWords[8]!;
    }
  }
}

/** The tag of the identity that begins at `at`: its second to fifth byte. */
function tagAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 24)) >>> 0;
}

/** The same bytes at a place where words may begin. What comes out of an index object is aligned already. */
function alignedOf(bytes: Uint8Array): Buffer {
  return bytes.byteOffset % 4 === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : copyOf(bytes);
}

function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
