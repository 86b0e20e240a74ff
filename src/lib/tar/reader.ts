import { HoldfastError } from '../errors.ts';
import { isZero, parseTarHeader, TAR_BLOCK_BYTES, type TarEntry } from './header.ts';

/**
 * Takes the entries of an archive. For each entry `onEntry`, its bytes in any number of `onBytes` (none for an empty file, a
 * directory or a link), `onEntryEnd`. A view is good only until the method returns or its promise is settled.
 */
export interface TarSink {
  onEntry(entry: TarEntry): void | Promise<void>;
  onBytes(view: Buffer): void | Promise<void>;
  onEntryEnd(): void | Promise<void>;
}

/**
 * Reads one archive, whatever the split of the input; file content is handed on as views of what was pushed.
 *
 * When the sink returns a promise, `push` returns one that settles once all pushed bytes are dealt with; the bytes must stay
 * as they are until then, and nothing may be pushed meanwhile.
 *
 * Errors: those of `parseTarHeader`; TAR_TRUNCATED from `end`; TAR_TRAILING_BYTES for anything but zeros behind the end.
 */
export class TarReader {
  readonly #sink: TarSink;
  readonly #header = Buffer.alloc(TAR_BLOCK_BYTES);
  #headerLength = 0;
  #part: 'header' | 'content' | 'padding' | 'trailer' = 'header';
  /** Bytes left of the content or the padding. */
  #left = 0;
  #paddingBytes = 0;

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  push(bytes: Buffer): void | Promise<void> {
    return this.#drain(bytes, 0);
  }

  /**
   * Says that nothing follows. An archive may end with or without its blocks of zeros, as PostgreSQL 14 leaves them out; but
   * not inside an entry.
   */
  end(): void {
    if (this.#part === 'trailer' || (this.#part === 'header' && this.#headerLength === 0)) return;
    throw new HoldfastError('TAR_TRUNCATED', 'tar archive ends too early', {
      detail:
        this.#part === 'header'
          ? `Expected a header of ${TAR_BLOCK_BYTES} bytes, found ${this.#headerLength}.`
          : `Expected ${this.#left} more bytes of ${this.#part}.`,
    });
  }

  #drain(bytes: Buffer, start: number): void | Promise<void> {
    let at = start;
    while (at < bytes.length) {
      let waiting: void | Promise<void>;
      const available = bytes.length - at;
      switch (this.#part) {
        case 'content': {
          const taken = Math.min(available, this.#left);
          waiting = this.#takeContent(bytes.subarray(at, at + taken));
          at += taken;
          break;
        }
        case 'header': {
          const taken = Math.min(available, TAR_BLOCK_BYTES - this.#headerLength);
          bytes.copy(this.#header, this.#headerLength, at, at + taken);
          this.#headerLength += taken;
          at += taken;
          waiting = this.#headerLength === TAR_BLOCK_BYTES ? this.#takeHeader() : undefined;
          break;
        }
        case 'padding': {
          const taken = Math.min(available, this.#left);
          this.#left -= taken;
          at += taken;
          if (this.#left === 0) this.#part = 'header';
          waiting = undefined;
          break;
        }
        case 'trailer':
          if (!isZero(bytes.subarray(at))) throw trailingBytes();
          return;
      }
      if (waiting !== undefined) {
        const next = at;
        return waiting.then(() => this.#drain(bytes, next));
      }
    }
  }

  #takeHeader(): void | Promise<void> {
    this.#headerLength = 0;
    const entry = parseTarHeader(this.#header);
    if (entry === null) {
      this.#part = 'trailer';
      return;
    }
    this.#left = entry.size;
    this.#paddingBytes = (TAR_BLOCK_BYTES - (entry.size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
    if (entry.size > 0) this.#part = 'content';
    const waiting = this.#sink.onEntry(entry);
    if (entry.size > 0) return waiting;
    return waiting === undefined ? this.#sink.onEntryEnd() : waiting.then(() => this.#sink.onEntryEnd());
  }

  #takeContent(view: Buffer): void | Promise<void> {
    this.#left -= view.length;
    const waiting = this.#sink.onBytes(view);
    if (this.#left > 0) return waiting;
    this.#left = this.#paddingBytes;
    this.#part = this.#left > 0 ? 'padding' : 'header';
    return waiting === undefined ? this.#sink.onEntryEnd() : waiting.then(() => this.#sink.onEntryEnd());
  }
}

function trailingBytes(): HoldfastError {
  return new HoldfastError('TAR_TRAILING_BYTES', 'tar archive has bytes behind its end', {
    detail: 'Expected nothing but zeros behind the empty block that ends an archive.',
  });
}
