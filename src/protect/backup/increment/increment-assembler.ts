import { crc32c } from '@node-rs/crc32';
import { assert, codeOf, messageOf } from '../../../lib/index.ts';
import { IncrementFileReader, type IncrementHead } from '../../../postgres/index.ts';
import type { ChunkIndex, IngestPipeline } from '../../../repository/index.ts';
import type { EntryTable, RowHead } from '../entry-table.ts';
import { LeafWork } from '../leaf-work.ts';
import type { PageBundler } from '../page-bundler.ts';
import type { PreviousFiles } from '../previous/index.ts';
import { PatchedFile } from './patched-file.ts';
import { SentFiles } from './sent-files.ts';

/** Map leaves that may be in work before more bytes are taken: each holds its map, and waits for its pages. */
const LEAVES_AT_ONCE = 128;

const NO_BLOCKS = new Uint32Array();

/** Through what an assembler stores. */
export interface IncrementStores {
  readonly pipeline: IngestPipeline;
  readonly bundler: PageBundler;
  readonly index: ChunkIndex;
  readonly storeLeaf: (raw: Uint8Array) => Promise<Buffer>;
  /** Of a page of zeros. */
  readonly zeroFingerprint: Buffer;
}

interface OpenIncrement {
  readonly row: number;
  readonly path: string;
  readonly reader: IncrementFileReader;
  /** Both known once the head has come. */
  blocks: Uint32Array;
  patched: PatchedFile | null;
  received: number;
  crc: number;
}

/**
 * Takes the files of which a server sent only changes, one after the other, and makes each whole over the base.
 *
 * What cannot be made whole, as it is invalid or the base lacks something, becomes the `refusal`; whatever comes then is passed over. Errors are
 * those of the pipeline and the store.
 */
export class IncrementAssembler {
  readonly sent: SentFiles;
  readonly #entries: EntryTable;
  readonly #base: PreviousFiles;
  readonly #stores: IncrementStores;
  readonly #leaves = new LeafWork();
  #file: OpenIncrement | null = null;
  #refusal: string | null = null;

  constructor(parts: { entries: EntryTable; base: PreviousFiles; stores: IncrementStores }) {
    this.#entries = parts.entries;
    this.#base = parts.base;
    this.#stores = parts.stores;
    this.sent = new SentFiles(parts.entries);
  }

  /** Why the increment is of no use, as a sentence without its full stop; null as long as it is. */
  get refusal(): string | null {
    return this.#refusal;
  }

  /** An increment of a file begins; `path` is that of the whole file in our tree. */
  beginFile(head: RowHead): void {
    assert(this.#file === null, 'one file at a time');
    const file: OpenIncrement = {
      row: this.#entries.addIncrement(head),
      path: head.path,
      reader: new IncrementFileReader({
        onHead: (told) => this.#begin(file, told),
        onBlock: (index, page) => this.#addBlock(file, index, page),
      }),
      ...{ blocks: NO_BLOCKS, patched: null, received: 0, crc: 0 },
    };
    this.#file = file;
  }

  /** Takes its next bytes; gives a promise only when it has to wait. */
  write(view: Buffer): void | Promise<void> {
    const file = this.#file!;
    file.crc = crc32c(view, file.crc);
    file.received += view.length;
    const waiting = this.#unlessInvalid(file, () => file.reader.push(view));
    return waiting === undefined ? this.#makeRoom() : waiting.then(() => this.#makeRoom());
  }

  endFile(): void {
    const file = this.#file!;
    this.#file = null;
    this.#entries.setReceivedAs(file.row, { size: file.received, crc32c: file.crc });
    this.#unlessInvalid(file, () => file.reader.end());
    if (this.#refusal === null) file.patched!.end();
  }

  /** Waits until the map of every file is known, or there is a refusal. The last file was ended, or no other will come. */
  async finish(): Promise<void> {
    this.#stores.bundler.flush();
    // A leaf waits for the answers to its pages, and a pipeline that failed gives none: it is asked first.
    await this.#stores.pipeline.settle();
    await this.#leaves.settle();
  }

  #begin(file: OpenIncrement, head: IncrementHead): void {
    const { path, row } = file;
    const base = this.#base.find(path);
    if (base === null) {
      this.#refuse(`the server sent changes of "${path}", which the base does not have`);
      return;
    }
    this.sent.note(row, head);
    file.blocks = head.blocks;
    file.patched = new PatchedFile(head, {
      ...{ base, ...this.#stores },
      track: (work) => this.#leaves.add(work),
      whole: (content) => this.#entries.setContent(row, content),
      lost: () => this.#refuse(`the base ${this.#base.snapshot.id.slice(0, 12)} has lost a part of "${path}"`),
    });
    this.#entries.setSize(row, file.patched.size);
  }

  #addBlock({ blocks, patched }: OpenIncrement, index: number, page: Buffer): void | Promise<void> {
    if (patched === null) return;
    const block = blocks[index]!;
    const neighbours = index > 0 && blocks[index - 1] === block - 1;
    return this.#stores.bundler.add(page, neighbours, patched.addBlock(block));
  }

  /** Has a file that is not what it should be end the increment, and nothing else. */
  #unlessInvalid(file: OpenIncrement, read: () => void | Promise<void>): void | Promise<void> {
    if (this.#refusal !== null) return;
    const refuse = (error: unknown): void => {
      if (codeOf(error) !== 'PG_INCREMENT_INVALID') throw error;
      this.#refuse(`what the server sent of "${file.path}" cannot be read: ${messageOf(error)}`);
    };
    try {
      return read()?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  }

  /** While too many leaves are in work, a promise of when there are fewer. */
  #makeRoom(): void | Promise<void> {
    if (this.#leaves.count >= LEAVES_AT_ONCE) return this.#waitForRoom();
  }

  async #waitForRoom(): Promise<void> {
    // Their pages may be in a bundle that is not full yet. A pipeline that fails answers none, and says so when it is asked to settle.
    this.#stores.bundler.flush();
    const settling = this.#stores.pipeline.settle();
    await Promise.race([settling, this.#leaves.next()]);
    while (this.#leaves.count >= LEAVES_AT_ONCE) {
      await settling;
      await this.#leaves.next();
    }
  }

  #refuse(reason: string): void {
    this.#refusal ??= reason;
  }
}
