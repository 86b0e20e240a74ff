import type { KeyMaterial, PackContent } from '../../repository/index.ts';

export interface FrameWorkerData {
  readonly keys: KeyMaterial;
}

/** A run of frames that lie back to back, the first of them at `offset` of the pack. */
export interface FrameRequest {
  readonly id: number;
  readonly packId: Uint8Array;
  readonly content: PackContent;
  readonly epoch: number;
  readonly offset: number;
  /** 40 bytes for each frame, as in the pack's directory. */
  readonly entries: Uint8Array;
  readonly stored: Uint8Array;
}

export interface FrameResponse {
  readonly id: number;
  /** The frames that cannot be used, by their place in the run. */
  readonly bad: readonly number[];
}
