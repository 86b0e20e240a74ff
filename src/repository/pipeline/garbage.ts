/** When to collect: after so many bytes of buffers, only the young ones or all. */
export interface GarbageRule {
  bytesMax: number;
  type: 'minor' | 'major';
}

/** For a worker that stores chunks: its buffers die young, and a young collection costs a millisecond. */
export const INGEST_GARBAGE: GarbageRule = { bytesMax: 4 << 20, type: 'minor' };

/** For a worker that restores: what it is sent outlives a young collection. A whole one costs some milliseconds, as its heap is small. */
export const EXTRACT_GARBAGE: GarbageRule = { bytesMax: 16 << 20, type: 'major' };

/**
 * Collects short-lived buffers sooner than the engine would by itself.
 *
 * Every chunk leaves behind buffers of up to a mebibyte, whose memory lies outside the heap, so that a worker with a small heap lets many of them pile
 * up: 100 MiB in a restore. Only where Node was started with --expose-gc, as the command line is; elsewhere nothing happens.
 */
export class GarbageGauge {
  readonly #rule: GarbageRule;
  #bytes = 0;

  constructor(rule: GarbageRule) {
    this.#rule = rule;
  }

  /** Notes that so many bytes were made and are not needed any more. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.#rule.bytesMax) return;
    this.#bytes = 0;
    globalThis.gc?.({ type: this.#rule.type, execution: 'sync' });
  }
}
