import type { KeyMaterial } from '../key/ring/index.ts';
import type { PackContent } from '../pack/opener/index.ts';

/** What an extract worker is given when it starts. */
export interface ExtractWorkerData {
  keys: KeyMaterial;
}

/** Where bytes of a chunk go. All numbers are bytes; `path` is that of a file that exists. */
export interface Destination {
  path: string;
  fileOffset: number;
  chunkOffset: number;
  length: number;
}

/** One chunk of a run of stored bytes. */
export interface ExtractFrame {
  id: Uint8Array;
  /** Offset in the pack, which is part of what the frame authenticates. */
  packOffset: number;
  frameLength: number;
  rawLength: number;
  destinations: Destination[];
}

/** Main thread to worker. `run.bytes` are the stored bytes of the pack from `start`, handed over. */
export type ExtractRequest =
  | { kind: 'close-files' }
  | {
      kind: 'run';
      run: number;
      packId: Uint8Array;
      epoch: number;
      content: PackContent;
      start: number;
      bytes: Uint8Array;
      frames: ExtractFrame[];
    };

/** Worker to main thread. `damaged` are indexes of frames that failed authentication; nothing of them was written. */
export type ExtractResponse = { kind: 'extracted'; run: number; bytes: number; damaged: number[] } | { kind: 'closed' };
