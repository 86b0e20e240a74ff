import { BLOCK_BYTES, type IncrementHead, type RelationSegment } from '../../../postgres/index.ts';
import type { EntryTable } from '../entry-table.ts';
import { relationFileOf } from '../relation-file.ts';

/** What a server sent of one data file of a relation. */
export interface SentFile {
  readonly file: RelationSegment;
  /** In our tree. */
  readonly path: string;
  /** Blocks that the file has now. */
  readonly blockCount: number;
  /** Null for a file that came whole. */
  readonly changes: IncrementHead | null;
}

const NO_BLOCKS = new Uint32Array();

/** What a server sent of each data file, in little memory: most files come without any change. */
export class SentFiles {
  readonly #entries: EntryTable;
  /** By row. Block numbers are kept where there are any. */
  readonly #truncationLengths = new Map<number, number>();
  readonly #blocks = new Map<number, Uint32Array>();

  constructor(entries: EntryTable) {
    this.#entries = entries;
  }

  note(row: number, { blocks, truncationLength }: IncrementHead): void {
    if (blocks.length > 0) this.#blocks.set(row, blocks);
    this.#truncationLengths.set(row, truncationLength);
  }

  /** Every data file of a relation, in the order in which they came. */
  *list(): Generator<SentFile, void> {
    for (let row = 0; row < this.#entries.count; row++) {
      if (!this.#entries.isFile(row)) continue;
      const path = this.#entries.pathOf(row);
      const file = relationFileOf(path);
      if (file === null) continue;
      const blockCount = Math.ceil(this.#entries.sizeOf(row) / BLOCK_BYTES);
      yield { file, path, blockCount, changes: this.#changesOf(row) };
    }
  }

  #changesOf(row: number): IncrementHead | null {
    const truncationLength = this.#truncationLengths.get(row);
    return truncationLength === undefined ? null : { blocks: this.#blocks.get(row) ?? NO_BLOCKS, truncationLength };
  }
}
