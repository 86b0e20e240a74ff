import type { KeyMaterial } from '../key/ring/index.ts';
import type { FinishedPack } from '../pack/index.ts';

/** What a worker is given when it starts. */
export interface IngestWorkerData {
  memory: WebAssembly.Memory;
  slabs: number;
  keys: KeyMaterial;
  level: number;
  spoolDirectory: string;
}

/** Main thread to worker. A slab's number hands the slab over. */
export type IngestRequest =
  | { kind: 'hash'; slab: number; pieces: number }
  | { kind: 'store'; slab: number; pieces: number }
  | { kind: 'finish' };

/** Worker to main thread. */
export type IngestResponse =
  | { kind: 'hashed'; slab: number }
  | { kind: 'stored'; slab: number; newChunks: number; newBytes: number }
  | { kind: 'packed'; pack: FinishedPack }
  | { kind: 'finished' };
