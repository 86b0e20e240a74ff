import { closeSync, constants, openSync } from 'node:fs';
import { codeOf } from '../../lib/index.ts';

/** Files kept open by one worker; a batch touches few files at a time, as it is sorted by pack. */
const OPEN_FILES_MAX = 128;
/** What systems say of a file that cannot be written past the page cache, when it is opened or at the first write. */
const REFUSALS = ['EINVAL', 'EOPNOTSUPP', 'ENOTSUP'];

/** A file that exists and is written in parts. */
export interface TargetFile {
  readonly path: string;
  buffered: number | null;
  direct: number | null;
  /** False once the file system has said that it takes nothing past the page cache, or where nobody shall ask it. */
  takesDirect: boolean;
  /** Writes that go on: until they are over no descriptor is closed, as its number would soon be another file's. */
  underWay: number;
}

/** The files that one worker writes, opened when they are needed and closed when they are the ones not used for longest. */
export class TargetFiles {
  readonly #open = new Map<string, TargetFile>();
  readonly #isDirect: boolean;

  constructor(options: { isDirect: boolean }) {
    this.#isDirect = options.isDirect && constants.O_DIRECT !== undefined;
  }

  get(path: string): TargetFile {
    const known = this.#open.get(path);
    if (known !== undefined) {
      // The one used last is the last in the map.
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    if (this.#open.size >= OPEN_FILES_MAX) this.#closeOldest();
    const file = { path, buffered: null, direct: null, takesDirect: this.#isDirect, underWay: 0 };
    this.#open.set(path, file);
    return file;
  }

  buffered(file: TargetFile): number {
    file.buffered ??= openSync(file.path, constants.O_WRONLY | constants.O_NOFOLLOW);
    return file.buffered;
  }

  /** A descriptor for aligned writes past the page cache; null where the file system does not take them. */
  direct(file: TargetFile): number | null {
    if (!file.takesDirect) return null;
    try {
      file.direct ??= openSync(file.path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_DIRECT);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      file.takesDirect = false;
      return null;
    }
    return file.direct;
  }

  /** For use when nothing is under way any more. */
  close(): void {
    for (const file of this.#open.values()) closeFile(file);
    this.#open.clear();
  }

  #closeOldest(): void {
    for (const file of this.#open.values()) {
      if (file.underWay > 0) continue;
      this.#open.delete(file.path);
      closeFile(file);
      return;
    }
  }
}

/** Whether an error only says that a file cannot be written past the page cache. */
export function isRefusal(error: unknown): boolean {
  return REFUSALS.includes(codeOf(error) ?? '');
}

function closeFile({ buffered, direct }: TargetFile): void {
  for (const descriptor of [buffered, direct]) if (descriptor !== null) closeSync(descriptor);
}
