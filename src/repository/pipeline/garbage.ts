/** Bytes of buffers that may be made before the young ones among them are collected. */
const GARBAGE_BYTES_MAX = 4 << 20;

/**
 * Collects short-lived buffers sooner than the engine would by itself.
 *
 * Every chunk leaves behind buffers of up to a mebibyte, whose memory lies outside the heap, so that a worker with a small heap lets many of them pile
 * up. A young collection costs it a millisecond. Only where Node was started with --expose-gc, as the command line is; elsewhere nothing happens.
 */
export class GarbageGauge {
  #bytes = 0;

  /** Notes that so many bytes were made and are not needed any more. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < GARBAGE_BYTES_MAX) return;
    this.#bytes = 0;
    globalThis.gc?.({ type: 'minor', execution: 'sync' });
  }
}
