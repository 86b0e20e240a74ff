import type { FileHandle } from 'node:fs/promises';
import {
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
  type FileMap,
  MAP_LEAF_BYTES,
  PageFingerprinter,
} from '../repository/index.ts';

/** A run of a file that is not what the backup has there. */
export interface Difference {
  /** Counted from the beginning of the map. */
  readonly at: number;
  readonly length: number;
}

/** The keys of a repository, as far as comparing needs them. */
export interface ComparingKeys {
  readonly fingerprintKey: Uint8Array;
  identifyChunk(raw: Uint8Array): Buffer;
}

/** A page of WebAssembly memory. */
const MEMORY_UNIT_BYTES = 65_536;

/**
 * Compares what lies in a file with what a backup has of it, without fetching any of it.
 *
 * Pages are compared by the keyed fingerprints in the map: two that differ pass for equal with odds of about 2⁻⁶³. What has no fingerprints is
 * compared by the identities of its chunks, so that it is either equal beyond doubt or fetched. One comparison at a time, as it reads into
 * one piece of memory of 8 MiB.
 */
export class ContentComparer {
  readonly #keys: ComparingKeys;
  readonly #fingerprinter: PageFingerprinter;
  readonly #bytes: Buffer;
  readonly #found: Buffer;
  readonly #outAt: number;
  readonly #pagesAt: number;

  constructor(keys: ComparingKeys) {
    const outBytes = (MAP_LEAF_BYTES / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_BYTES;
    this.#outAt = PageFingerprinter.keyBytes;
    this.#pagesAt = Math.ceil((this.#outAt + outBytes) / FINGERPRINT_PAGE_BYTES) * FINGERPRINT_PAGE_BYTES;
    const units = Math.ceil((this.#pagesAt + MAP_LEAF_BYTES) / MEMORY_UNIT_BYTES);
    const memory = new WebAssembly.Memory({ initial: units, maximum: units, shared: true });
    this.#keys = keys;
    this.#fingerprinter = new PageFingerprinter({ memory, keyAt: 0, fingerprintKey: keys.fingerprintKey });
    this.#bytes = Buffer.from(memory.buffer, this.#pagesAt, MAP_LEAF_BYTES);
    this.#found = Buffer.from(memory.buffer, this.#outAt, outBytes);
  }

  /** Where the file differs from a map whose bytes lie from `start` on; runs that touch are one. Reads what is not there as different. */
  async compare(file: FileHandle, start: number, length: number, map: FileMap): Promise<Difference[]> {
    const have = await this.#read(file, start, length);
    const runs = new Runs();
    if (map.fingerprints === null) this.#compareChunks(map, have, runs);
    else this.#comparePages(map.fingerprints, have, length, runs);
    if (have < length) runs.add(have, length);
    return runs.list;
  }

  /** The bytes that the last comparison read, until the next one. */
  lastRead(length: number): Buffer {
    return this.#bytes.subarray(0, length);
  }

  /** Reads into the memory as far as the file goes. */
  async #read(file: FileHandle, start: number, length: number): Promise<number> {
    let have = 0;
    while (have < length) {
      const { bytesRead } = await file.read(this.#bytes, have, length - have, start + have);
      if (bytesRead === 0) break;
      have += bytesRead;
    }
    return have;
  }

  #comparePages(expected: Buffer, have: number, length: number, runs: Runs): void {
    const pages = Math.floor(Math.min(have, length) / FINGERPRINT_PAGE_BYTES);
    this.#fingerprinter.fingerprint(this.#pagesAt, pages, this.#outAt);
    for (let page = 0; page < pages; page++) {
      const at = page * FINGERPRINT_BYTES;
      const isEqual = this.#found.compare(expected, at, at + FINGERPRINT_BYTES, at, at + FINGERPRINT_BYTES) === 0;
      if (!isEqual) runs.add(page * FINGERPRINT_PAGE_BYTES, (page + 1) * FINGERPRINT_PAGE_BYTES);
    }
    if (pages * FINGERPRINT_PAGE_BYTES < length) runs.add(pages * FINGERPRINT_PAGE_BYTES, length);
  }

  /** An extent of a part of a chunk never has the chunk's identity; it is fetched. */
  #compareChunks({ extents }: FileMap, have: number, runs: Runs): void {
    let at = 0;
    for (const extent of extents) {
      const end = at + extent.length;
      const bytes = this.#bytes.subarray(at, Math.min(end, have));
      const isEqual =
        end <= have &&
        (extent.form === 'zero'
          ? bytes.every((byte) => byte === 0)
          : extent.offset === 0 && this.#keys.identifyChunk(bytes).equals(extent.id));
      if (!isEqual) runs.add(at, end);
      at = end;
    }
  }
}

/** Runs in rising order, joined where they touch. */
class Runs {
  readonly list: { at: number; length: number }[] = [];

  add(from: number, to: number): void {
    if (to <= from) return;
    const last = this.list.at(-1);
    if (last !== undefined && from <= last.at + last.length) last.length = Math.max(last.length, to - last.at);
    else this.list.push({ at: from, length: to - from });
  }
}
