/** When to collect: after so many bytes of buffers, only the young ones or all. */
export interface GarbageRule {
  bytesMax: number;
  type: 'minor' | 'major';
}

/**
 * Collects short-lived buffers sooner than the engine would by itself.
 *
 * Every large buffer has its memory outside the heap, so that a thread with a small heap lets many of them pile up: 100 MiB in a restore.
 * Only where Node was started with --expose-gc, as the command line is; elsewhere nothing happens.
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

/**
 * Gives the memory of a large buffer back at once, without a collection. Nothing may use the buffer afterwards, nor another view of its memory.
 *
 * For what a library made and holds on to: zlib's output stays in the hands of its native part until the next collection of everything. Small
 * buffers share their memory with others (`Buffer.poolSize`) and are left alone.
 */
export function giveBack({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
