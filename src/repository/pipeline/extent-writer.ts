import { write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { assert } from '../../lib/index.ts';
import type { Destination } from './extract-messages.ts';
import { isRefusal, type TargetFile, TargetFiles } from './target-files.ts';

/** Offsets, lengths and memory of what goes past the page cache are multiples of this, which is enough for blocks up to a page. */
const DIRECT_ALIGNMENT = 4096;
/** Shorter runs are gathered better by the page cache than by the disk. */
const DIRECT_BYTES_MIN = 64 << 10;
/** Chunks on their way to the disk: one that is written, one that waits for it, and one that is made meanwhile. */
const SLOTS = 3;
/** A chunk at most. */
const SLOT_BYTES = 1 << 20;
const MEMORY_UNIT_BYTES = 65_536;

/** Where a chunk lies until all of it is written. */
interface Slot {
  readonly bytes: Buffer;
  /** Whoever still needs it. */
  users: number;
}

/**
 * Writes parts of chunks into files that exist, for one worker thread; one call at a time.
 *
 * What is long and aligned goes past the page cache, out of memory that begins on a page as disks want it: the kernel copies and keeps nothing,
 * and the next chunk is made while this one is written. All else is written the ordinary way, and so is everything where the file system takes
 * no such writes (tmpfs, some network file systems). Nothing is durable before the file is synced, either way.
 */
export class ExtentWriter {
  readonly #files: TargetFiles;
  readonly #free: Slot[] = [];
  #waiting: ((slot: Slot) => void) | null = null;
  #made = 0;
  #memory: WebAssembly.Memory | null = null;

  /** With `isDirect` false everything goes through the page cache. */
  constructor({ isDirect = true } = {}) {
    this.#files = new TargetFiles({ isDirect });
  }

  /**
   * Writes parts of one chunk. `raw` is not needed any more when it returns, though some parts may still be on their way: these are added to
   * `underWay`. Errors, here and there: those of the file system as they are.
   */
  async place(raw: Uint8Array, destinations: readonly Destination[], underWay: Promise<void>[]): Promise<void> {
    let slot: Slot | null = null;
    for (const { path, fileOffset, chunkOffset, length } of destinations) {
      assert(chunkOffset + length <= raw.length, 'an extent lies inside its chunk');
      const file = this.#files.get(path);
      const whole = alignedLength(fileOffset, chunkOffset, length);
      const isDirect = whole >= DIRECT_BYTES_MIN && this.#files.direct(file) !== null;
      if (isDirect) {
        slot ??= await this.#fill(raw);
        const writing = this.#writeDirect(file, slot, { from: chunkOffset, length: whole, at: fileOffset });
        // Whoever waits for all that is under way hears of it; until then nobody does.
        writing.catch(() => {});
        underWay.push(writing);
      }
      const done = isDirect ? whole : 0;
      if (done < length)
        this.#writeBuffered(file, raw, { from: chunkOffset + done, length: length - done, at: fileOffset + done });
    }
    if (slot !== null) this.#leave(slot);
  }

  /** For use when nothing is under way any more. */
  close(): void {
    this.#files.close();
  }

  async #writeDirect(file: TargetFile, slot: Slot, { from, length, at }: Part): Promise<void> {
    slot.users += 1;
    file.underWay += 1;
    try {
      let done = 0;
      while (done < length) {
        const rest = { from: from + done, length: length - done, at: at + done };
        const descriptor = done % DIRECT_ALIGNMENT === 0 ? this.#files.direct(file) : null;
        if (descriptor === null) {
          this.#writeBuffered(file, slot.bytes, rest);
          return;
        }
        try {
          const { bytesWritten } = await writeLater(descriptor, slot.bytes, rest.from, rest.length, rest.at);
          done += requireProgress(bytesWritten, file);
        } catch (error) {
          if (!isRefusal(error)) throw error;
          file.takesDirect = false;
        }
      }
    } finally {
      file.underWay -= 1;
      this.#leave(slot);
    }
  }

  #writeBuffered(file: TargetFile, bytes: Uint8Array, { from, length, at }: Part): void {
    const descriptor = this.#files.buffered(file);
    for (let done = 0; done < length; ) {
      done += requireProgress(writeSync(descriptor, bytes, from + done, length - done, at + done), file);
    }
  }

  /** Copies a chunk into a slot, as soon as one is free. */
  async #fill(raw: Uint8Array): Promise<Slot> {
    const slot =
      this.#free.pop() ?? this.#makeSlot() ?? (await new Promise<Slot>((resolve) => (this.#waiting = resolve)));
    slot.bytes.set(raw);
    slot.users = 1;
    return slot;
  }

  #makeSlot(): Slot | null {
    if (this.#made === SLOTS) return null;
    const units = (SLOTS * SLOT_BYTES) / MEMORY_UNIT_BYTES;
    this.#memory ??= new WebAssembly.Memory({ initial: units, maximum: units });
    const bytes = Buffer.from(this.#memory.buffer, this.#made * SLOT_BYTES, SLOT_BYTES);
    this.#made += 1;
    return { bytes, users: 0 };
  }

  #leave(slot: Slot): void {
    slot.users -= 1;
    if (slot.users > 0) return;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#free.push(slot);
    else waiting(slot);
  }
}

/** Bytes in memory from `from` on, which go to `at` in a file. */
interface Part {
  from: number;
  length: number;
  at: number;
}

const writeLater = promisify(write);

/** How much of an extent can go past the page cache: all but what is left over of a block at its end, or nothing. */
function alignedLength(fileOffset: number, chunkOffset: number, length: number): number {
  const begins = fileOffset % DIRECT_ALIGNMENT === 0 && chunkOffset % DIRECT_ALIGNMENT === 0;
  return begins ? length - (length % DIRECT_ALIGNMENT) : 0;
}

/** A write that neither fails nor writes would be repeated without end. */
function requireProgress(written: number, { path }: TargetFile): number {
  assert(written > 0, `a write to "${path}" writes something or fails`);
  return written;
}
