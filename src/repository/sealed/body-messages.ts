import type { KeyObject } from 'node:crypto';
import type { ObjectKind } from '../codec/index.ts';

/** A whole body in shared memory, and the one key with which it is sealed and opened again. */
export interface BodyTask {
  readonly kind: ObjectKind;
  readonly name: string;
  readonly body: Uint8Array;
  readonly repositoryId: Uint8Array;
  readonly epoch: number;
  readonly objectId: Uint8Array;
  readonly key: KeyObject;
}

/** What the thread is given when it begins: shared memory in which it finds what was read of a store. */
export interface BodyThreadData {
  readonly window: Uint8Array;
}

/** What the thread is asked for. A comparison is begun, and goes on with each `length` bytes in the window. */
export type BodyRequest =
  | { readonly ask: 'seal'; readonly id: number; readonly task: BodyTask; readonly path: string }
  | { readonly ask: 'compare'; readonly id: number; readonly task: BodyTask }
  | { readonly ask: 'go-on'; readonly id: number; readonly length: number; readonly isLast: boolean };

/** The answer to each request: the bytes that were written, whether what was stored is the body so far, or that it could not be done. */
export interface BodyAnswer {
  readonly id: number;
  readonly outcome: { readonly size: number } | { readonly isEqual: boolean } | 'failed';
}
