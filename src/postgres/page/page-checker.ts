import { assert } from '../../lib/index.ts';
import { instantiateFunction } from '../../lib/wasm/index.ts';
import { checksumModule } from './checksum-module.ts';
import { BLOCK_BYTES } from './page.ts';

type CheckFunction = (pages: number, count: number, block: number, start: bigint) => [index: number, highest: bigint];

/** Pages that lie behind each other in a shared memory. */
export interface PageRun {
  /** Byte of the memory at which the first begins. */
  readonly at: number;
  readonly count: number;
  /** The first one's number in its relation, over all segment files. */
  readonly block: number;
}

/** What was found in a run of pages. */
export interface PageCheck {
  /** Pages before the first one with a wrong checksum; all of them when there is none. Those behind it were not looked at. */
  readonly sound: number;
  /** The highest LSN of a page that was looked at and is not new; 0 when there is none. */
  readonly highestLsn: bigint;
}

/**
 * Checks pages in place, at about the speed of memory: the checksum of each that is not new and older than a given position, and the LSN of each.
 *
 * It gives what `isPageChecksumRight` gives, page by page. Source: PostgreSQL, basebackup.c, sendFile, for which pages are checked.
 */
export class PageChecker {
  readonly #run: CheckFunction;
  readonly #memoryBytes: number;

  constructor(memory: WebAssembly.Memory) {
    this.#run = instantiateFunction<CheckFunction>(checksumModule, memory);
    this.#memoryBytes = memory.buffer.byteLength;
  }

  /** `before`: only pages with a lower LSN have their checksum checked; 0 for none. */
  check({ at, count, block }: PageRun, before: bigint): PageCheck {
    assert(at + count * BLOCK_BYTES <= this.#memoryBytes, 'the pages lie inside the memory');
    const [sound, highest] = this.#run(at, count, block, before);
    return { sound, highestLsn: BigInt.asUintN(64, highest) };
  }
}
