import { HoldfastError, type Progress } from '../../lib/index.ts';
import type { ChunkIndex, ChunkLocation, Repository, StorePlace } from '../../repository/index.ts';

/** The chunks of a repository as some copies have them; what one lacks or cannot read, the next one gives. */
export interface CopiedChunks {
  lookup(id: Uint8Array): ChunkLocation[];
  /** Errors: the first copy's, when none gives it. */
  readChunk(id: Uint8Array): Promise<Buffer>;
  /** What of these copies' index could not be read, a sentence each: chunks that are named there alone are not found. */
  readonly unread: readonly string[];
}

interface OpenedCopy {
  readonly index: ChunkIndex;
  readonly readChunk: (id: Uint8Array) => Promise<Buffer>;
}

/** The indexes of copies, each loaded once, when it is needed first. */
export class CopyIndexes implements Disposable {
  readonly #repository: Repository;
  readonly #progress: Progress;
  readonly #opened = new Map<string, OpenedCopy | HoldfastError>();

  constructor(repository: Repository, progress: Progress) {
    this.#repository = repository;
    this.#progress = progress;
  }

  /** A copy whose index cannot be loaded is told of, and passed over from then on. Errors: the first copy's, when no index can be loaded. */
  async open(copies: readonly StorePlace[]): Promise<CopiedChunks> {
    const readers: OpenedCopy[] = [];
    const unread: string[] = [];
    let failure: HoldfastError | null = null;
    for (const copy of copies) {
      const opened = await this.#open(copy);
      if (opened instanceof HoldfastError) {
        failure ??= opened;
        unread.push(`the index of copy "${copy.name}": ${opened.message}`);
        continue;
      }
      readers.push(opened);
      for (const { name, reason } of opened.index.unreadable)
        unread.push(`"${name}" in copy "${copy.name}": ${reason}`);
    }
    if (readers.length === 0 && failure !== null) throw failure;
    return {
      lookup: (id) => readers.flatMap(({ index }) => index.lookup(id)),
      readChunk: (id) => readFromFirst(readers, id),
      unread,
    };
  }

  async #open({ name, store }: StorePlace): Promise<OpenedCopy | HoldfastError> {
    const known = this.#opened.get(name);
    if (known !== undefined) return known;
    const opened = await this.#load(name, store);
    this.#opened.set(name, opened);
    return opened;
  }

  async #load(name: string, store: StorePlace['store']): Promise<OpenedCopy | HoldfastError> {
    const place = this.#repository.inPlace(store);
    try {
      const index = await place.loadIndex();
      return { index, readChunk: place.openChunkReader(index).readChunk };
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      this.#progress.note(`copy "${name}" is not asked for chunks: ${error.message}`);
      return error;
    }
  }

  [Symbol.dispose](): void {
    for (const opened of this.#opened.values()) if (!(opened instanceof HoldfastError)) opened.index.close();
    this.#opened.clear();
  }
}

async function readFromFirst(readers: readonly OpenedCopy[], id: Uint8Array): Promise<Buffer> {
  let failure: unknown;
  for (const { readChunk } of readers) {
    try {
      return await readChunk(id);
    } catch (error) {
      // The next copy says whether it is lost.
      if (!(error instanceof HoldfastError)) throw error;
      failure ??= error;
    }
  }
  throw failure;
}
