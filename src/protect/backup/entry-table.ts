import { assert } from '../../lib/index.ts';
import { decodeFileMap, encodeFileMap, type FileContent, type TreeEntry } from '../../repository/index.ts';
import { ByteArena } from './byte-arena.ts';

/** What stands in the row of anything. */
export interface RowHead {
  readonly path: string;
  readonly mode: number;
  readonly mtimeMs: number;
}

/** Size and CRC-32C of what was received for a file, to be held against the server's manifest. */
export interface ReceivedFile {
  readonly size: number;
  readonly crc32c: number;
}

/** An increment is a file too, of which only changes were received. */
const TYPES = ['file', 'directory', 'link', 'increment'] as const;
const FORMS = ['inline', 'split'] as const;
const NO_FORM = 255;
const ID_BYTES = 32;

/**
 * f64 size · f64 mtime in ms · f64 place of the path · f64 place of the content · f64 bytes received · u32 mode · u32 CRC-32C · u32 content's length ·
 * u16 path's length · u8 type · u8 form.
 */
const ROW_BYTES = 56;
const ROWS_PER_BLOCK = 4096;
const [SIZE_AT, MTIME_AT, PATH_AT, CONTENT_AT, RECEIVED_AT] = [0, 8, 16, 24, 32];
const [MODE_AT, CRC_AT, CONTENT_LENGTH_AT, PATH_LENGTH_AT, TYPE_AT, FORM_AT] = [40, 44, 48, 52, 54, 55];

/**
 * All that a backup has received, a row for each file, directory and link in the order in which they came.
 *
 * A cluster may have a million files, and each of them is kept until the last has come and all can be sorted. So nothing here is an object of its
 * own: a file takes its path, its map and 56 bytes. Rows are numbered from 0.
 */
export class EntryTable {
  readonly #rows: Buffer[] = [];
  readonly #bytes = new ByteArena();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds a directory or a link as it is. */
  addOther(entry: Exclude<TreeEntry, { type: 'file' }>): void {
    const row = this.#add(entry.type, entry);
    if (entry.type === 'link') this.#setContent(row, Buffer.from(entry.target, 'utf8'), NO_FORM);
  }

  /** Adds a file that begins; gives its row. */
  addFile(head: RowHead): number {
    return this.#add('file', head);
  }

  /** Adds a file of which only changes come; `path` is that of the whole file. Gives its row. */
  addIncrement(head: RowHead): number {
    return this.#add('increment', head);
  }

  /** Of a file that came as it is stored. */
  setReceived(row: number, received: ReceivedFile): void {
    this.setReceivedAs(row, received);
    this.setSize(row, received.size);
  }

  /** Of a file that came in another form than it is stored in: `setSize` says how large it is. */
  setReceivedAs(row: number, { size, crc32c }: ReceivedFile): void {
    const { block, at } = this.#find(row);
    block.writeDoubleLE(size, at + RECEIVED_AT);
    block.writeUInt32LE(crc32c >>> 0, at + CRC_AT);
  }

  /** The size of the file as it is stored. */
  setSize(row: number, size: number): void {
    const { block, at } = this.#find(row);
    block.writeDoubleLE(size, at + SIZE_AT);
  }

  setContent(row: number, content: FileContent): void {
    const bytes = content.form === 'inline' ? encodeFileMap(content.map) : Buffer.concat(content.leaves);
    this.#setContent(row, bytes, FORMS.indexOf(content.form));
  }

  /** Whether there is a file in the row, an increment among them. */
  isFile(row: number): boolean {
    const type = this.#typeOf(row);
    return type === 'file' || type === 'increment';
  }

  isIncrement(row: number): boolean {
    return this.#typeOf(row) === 'increment';
  }

  sizeOf(row: number): number {
    const { block, at } = this.#find(row);
    return block.readDoubleLE(at + SIZE_AT);
  }

  pathOf(row: number): string {
    const { place, length } = this.#pathPlace(row);
    return this.#bytes.view(place, length).toString('utf8');
  }

  hasPath(row: number, path: Buffer): boolean {
    const { place, length } = this.#pathPlace(row);
    return length === path.length && this.#bytes.view(place, length).equals(path);
  }

  receivedOf(row: number): ReceivedFile {
    const { block, at } = this.#find(row);
    return { size: block.readDoubleLE(at + RECEIVED_AT), crc32c: block.readUInt32LE(at + CRC_AT) };
  }

  /** Whether there is a file of this path; looks at all rows. */
  hasFile(path: string): boolean {
    const wanted = Buffer.from(path, 'utf8');
    for (let row = 0; row < this.#count; row++) if (this.hasPath(row, wanted) && this.isFile(row)) return true;
    return false;
  }

  /** The row of a file, by what `sortedRows` gave; null when there is none. */
  findFile(path: Buffer, sorted: Uint32Array): number | null {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = sorted[middle]!;
      const { place, length } = this.#pathPlace(row);
      const order = this.#bytes.view(place, length).compare(path);
      if (order === 0) return this.isFile(row) ? row : null;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return null;
  }

  /** All rows in the order of a tree: by the bytes of their paths. */
  sortedRows(): Uint32Array {
    const rows = new Uint32Array(this.#count).map((_, row) => row);
    return rows.sort((a, b) => this.#comparePaths(a, b));
  }

  /** Every entry in the order of a tree, made as it is asked for. */
  *sorted(): Generator<TreeEntry, void> {
    for (const row of this.sortedRows()) yield this.entryOf(row);
  }

  /** Identities and fingerprints are views. */
  entryOf(row: number): TreeEntry {
    const { block, at } = this.#find(row);
    const path = this.pathOf(row);
    const head = { path, mode: block.readUInt32LE(at + MODE_AT), mtimeMs: block.readDoubleLE(at + MTIME_AT) };
    const type = this.#typeOf(row);
    if (type === 'directory') return { type, ...head };
    const content = this.#bytes.view(block.readDoubleLE(at + CONTENT_AT), block.readUInt32LE(at + CONTENT_LENGTH_AT));
    if (type === 'link') return { type, ...head, target: content.toString('utf8') };
    const form = FORMS[block[at + FORM_AT]!];
    assert(form !== undefined, `the contents of "${path}" are known`);
    return { type: 'file', ...head, size: block.readDoubleLE(at + SIZE_AT), content: decodeContent(form, content) };
  }

  #add(type: (typeof TYPES)[number], { path, mode, mtimeMs }: RowHead): number {
    const row = this.#count;
    if (row % ROWS_PER_BLOCK === 0) this.#rows.push(Buffer.alloc(ROWS_PER_BLOCK * ROW_BYTES));
    this.#count += 1;
    const encoded = Buffer.from(path, 'utf8');
    assert(encoded.length <= 0xffff, 'a path is shorter than any system allows');
    const { block, at } = this.#find(row);
    block.writeDoubleLE(mtimeMs, at + MTIME_AT);
    block.writeDoubleLE(this.#bytes.keep(encoded), at + PATH_AT);
    block.writeUInt32LE(mode, at + MODE_AT);
    block.writeUInt16LE(encoded.length, at + PATH_LENGTH_AT);
    block[at + TYPE_AT] = TYPES.indexOf(type);
    block[at + FORM_AT] = NO_FORM;
    return row;
  }

  #setContent(row: number, bytes: Buffer, form: number): void {
    const { block, at } = this.#find(row);
    block.writeDoubleLE(this.#bytes.keep(bytes), at + CONTENT_AT);
    block.writeUInt32LE(bytes.length, at + CONTENT_LENGTH_AT);
    block[at + FORM_AT] = form;
  }

  #comparePaths(a: number, b: number): number {
    const [one, other] = [this.#pathPlace(a), this.#pathPlace(b)];
    return this.#bytes.compare(one.place, one.length, other.place, other.length);
  }

  #pathPlace(row: number): { place: number; length: number } {
    const { block, at } = this.#find(row);
    return { place: block.readDoubleLE(at + PATH_AT), length: block.readUInt16LE(at + PATH_LENGTH_AT) };
  }

  #typeOf(row: number): (typeof TYPES)[number] {
    const { block, at } = this.#find(row);
    return TYPES[block[at + TYPE_AT]!]!;
  }

  #find(row: number): { block: Buffer; at: number } {
    assert(row < this.#count, 'a row that was added');
    return { block: this.#rows[Math.floor(row / ROWS_PER_BLOCK)]!, at: (row % ROWS_PER_BLOCK) * ROW_BYTES };
  }
}

function decodeContent(form: (typeof FORMS)[number], bytes: Buffer): FileContent {
  if (form === 'inline') return { form, map: decodeFileMap(bytes) };
  const leaves: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += ID_BYTES) leaves.push(bytes.subarray(at, at + ID_BYTES));
  return { form, leaves };
}
