/** What a reader is given when it starts. */
export interface ReadWorkerData {
  /** The memory in which the slabs of the ingest pipeline lie. */
  readonly memory: WebAssembly.Memory;
  readonly slabBytes: number;
  /** Pieces that a slab takes at most. */
  readonly piecesMax: number;
  /** Pages with a lower LSN have their checksum checked; 0 in a cluster without checksums. */
  readonly checkedBefore: bigint;
  /** Blocks of a segment file of a relation. */
  readonly blocksPerSegment: number;
}

export interface FileToRead {
  /** By which the answers name it. */
  readonly number: number;
  readonly from: string;
  /** Which segment of a relation it is; null for a file without pages. */
  readonly segment: number | null;
}

/** To the reader. A slab's number hands the slab over. */
export type ReadRequest =
  | { readonly kind: 'files'; readonly files: readonly FileToRead[] }
  /** `at`: where its bytes lie in the memory. `flushedLsn`: how far the server's WAL was durable at some time before. */
  | { readonly kind: 'slab'; readonly slab: number; readonly at: number; readonly flushedLsn: bigint }
  /** No more files will come. */
  | { readonly kind: 'end' };

/** What happened to files, in the order in which it did. A file of no bytes has no pieces. Bytes; `mtimeMs` as the system says. */
export type ReadStep =
  | { readonly kind: 'vanished'; readonly file: number }
  | {
      readonly kind: 'opened';
      readonly file: number;
      readonly size: number;
      readonly mode: number;
      readonly mtimeMs: number;
    }
  | {
      readonly kind: 'piece';
      readonly file: number;
      readonly at: number;
      readonly length: number;
      readonly last: boolean;
    };

/** A page that looks wrong. `block` counts from the beginning of the file. */
export type ReadFinding =
  | {
      readonly kind: 'checksum';
      readonly file: number;
      readonly block: number;
      readonly computed: number;
      readonly stored: number;
    }
  /** Newer than the WAL was when the slab was handed over: it may have been written since. */
  | { readonly kind: 'ahead'; readonly file: number; readonly block: number; readonly lsn: bigint };

export interface FilledSlab {
  readonly slab: number;
  readonly steps: readonly ReadStep[];
  readonly findings: readonly ReadFinding[];
  /** Bytes that were read. */
  readonly bytes: number;
}

/** From the reader. */
export type ReadResponse =
  | ({ readonly kind: 'filled' } & FilledSlab)
  /** So many of the files that it was given are begun: there is room for as many. */
  | { readonly kind: 'begun'; readonly files: number }
  | { readonly kind: 'ended' };
