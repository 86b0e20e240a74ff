import type { KeyMaterial } from '../key/ring/index.ts';
import type { FinishedPack } from '../pack/index.ts';

/** What a worker is given when it starts. */
export interface IngestWorkerData {
  memory: WebAssembly.Memory;
  slabs: number;
  keys: KeyMaterial;
  level: number;
  spoolDirectory: string;
  /** Whether the worker gives way to all other programs. */
  lowPriority: boolean;
}

/** Main thread to worker. A slab's number hands the slab over. */
export type IngestRequest =
  | { kind: 'examine'; slab: number; pieces: number }
  | { kind: 'store'; slab: number; pieces: number }
  | { kind: 'finish' };

/** Worker to main thread. */
export type IngestResponse =
  | { kind: 'examined'; slab: number }
  | { kind: 'stored'; slab: number; newChunks: number; newBytes: number }
  | { kind: 'packed'; pack: FinishedPack }
  | { kind: 'finished' };
