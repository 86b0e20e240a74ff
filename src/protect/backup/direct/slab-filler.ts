import { BLOCK_BYTES } from '../../../postgres/page/index.ts';
import type { OpenedFile } from './opened-file.ts';
import type { PageInspector } from './page-inspector.ts';
import type { FileToRead, FilledSlab, ReadFinding, ReadStep, ReadWorkerData } from './read-messages.ts';

/** Steps that are told with one slab; of files that vanish or are empty there may be many without a byte. */
const STEPS_MAX = 2048;

interface OpenSlab {
  readonly number: number;
  readonly at: number;
  readonly bytes: Buffer;
  readonly flushedLsn: bigint;
  readonly steps: ReadStep[];
  readonly findings: ReadFinding[];
  used: number;
  pieces: number;
  read: number;
}

/**
 * Puts the bytes of files into slabs: pieces begin at multiples of a slab's size in their file, and small files share a slab.
 *
 * Files and slabs come when they come; it goes on as far as it has both. The cutting is that of `FileAssembler`, so that a file gives the same
 * chunks by either way.
 */
export class SlabFiller {
  readonly #data: ReadWorkerData;
  readonly #inspector: PageInspector;
  readonly #openFile: (file: FileToRead) => OpenedFile | null;
  readonly #files: FileToRead[] = [];
  readonly #slabs: OpenSlab[] = [];
  #file: OpenedFile | null = null;

  constructor(
    data: ReadWorkerData,
    options: { inspector: PageInspector; openFile: (file: FileToRead) => OpenedFile | null },
  ) {
    this.#data = data;
    this.#inspector = options.inspector;
    this.#openFile = options.openFile;
  }

  addFiles(files: readonly FileToRead[]): void {
    this.#files.push(...files);
  }

  addSlab({ slab, at, flushedLsn }: { slab: number; at: number; flushedLsn: bigint }): void {
    const bytes = Buffer.from(this.#data.memory.buffer, at, this.#data.slabBytes);
    this.#slabs.push({ number: slab, at, bytes, flushedLsn, steps: [], findings: [], used: 0, pieces: 0, read: 0 });
  }

  /** Files that were given and not begun. */
  get waiting(): number {
    return this.#files.length;
  }

  /** Whether every file that was given is read. */
  get isDone(): boolean {
    return this.#files.length === 0 && this.#file === null;
  }

  /** Goes on until a slab is full, and gives it; null when it is short of files or of slabs. */
  fill(): FilledSlab | null {
    for (;;) {
      const slab = this.#slabs[0];
      if (slab === undefined) return null;
      if (this.#file === null && !this.#beginFile(slab)) return slab.steps.length >= STEPS_MAX ? this.#hand() : null;
      if (this.#file !== null && !this.#fillPiece(slab, this.#file)) return this.#hand();
    }
  }

  /** Hands over what the slab at hand has; null when that is nothing. */
  flush(): FilledSlab | null {
    return (this.#slabs[0]?.steps.length ?? 0) === 0 ? null : this.#hand();
  }

  #hand(): FilledSlab {
    const { number, steps, findings, read } = this.#slabs.shift()!;
    return { slab: number, steps, findings, bytes: read };
  }

  /** Opens the next file; false when there is none, or enough has been told. One that is gone or empty is told of and done. */
  #beginFile(slab: OpenSlab): boolean {
    while (slab.steps.length < STEPS_MAX) {
      const next = this.#files.shift();
      if (next === undefined) return false;
      const opened = this.#openFile(next);
      if (opened === null) {
        slab.steps.push({ kind: 'vanished', file: next.number });
        continue;
      }
      const { size, mode, mtimeMs } = opened;
      slab.steps.push({ kind: 'opened', file: next.number, size, mode, mtimeMs });
      if (size > 0) {
        this.#file = opened;
        return true;
      }
      opened.close();
    }
    return false;
  }

  /** Reads the next piece of the file into the slab; false when it has no room there. */
  #fillPiece(slab: OpenSlab, file: OpenedFile): boolean {
    const { slabBytes, piecesMax } = this.#data;
    const length = Math.min(slabBytes, file.size - file.position);
    const at = file.isPaged ? Math.ceil(slab.used / BLOCK_BYTES) * BLOCK_BYTES : slab.used;
    if (at + length > slabBytes || slab.pieces === piecesMax) return false;
    const first = file.position;
    file.readInto(slab.bytes.subarray(at, at + length));
    if (file.isPaged) {
      const run = { at: slab.at + at, bytes: slab.bytes.subarray(at, at + length), position: first };
      this.#inspector.inspect(file, run, slab.flushedLsn, slab.findings);
    }
    const last = file.position === file.size;
    slab.steps.push({ kind: 'piece', file: file.number, at, length, last });
    slab.used = at + length;
    slab.pieces += 1;
    slab.read += length;
    if (last) {
      file.close();
      this.#file = null;
    }
    return true;
  }
}
