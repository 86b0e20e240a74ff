import { constants, type Stats } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The calls of the operating system that the disk store makes, one method each, so that a test can record them and lose what was not synced.
 *
 * Errors are those of `node:fs`, with their codes.
 */
export interface FileSystem {
  /** Creates a file that must not be there and opens it for writing. */
  createFile(path: string): Promise<OpenFile>;
  /** Opens a file that is there, to sync what others wrote into it. */
  openFile(path: string): Promise<OpenFile>;
  /** Makes one directory, whose parent is there. */
  makeDirectory(path: string): Promise<void>;
  /** Makes the entries of a directory durable: names in it that were linked, renamed or made. */
  syncDirectory(path: string): Promise<void>;
  link(existing: string, added: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  read(path: string): Promise<Buffer>;
  /** At most `length` bytes; fewer exactly at the end of the file. */
  readRange(path: string, offset: number, length: number): Promise<Buffer>;
  /** Follows symbolic links. */
  status(path: string): Promise<FileStatus>;
  /** What is in a directory, in no order. Follows symbolic links. */
  list(path: string): Promise<ListedName[]>;
}

/** A file open for writing. Whoever opened it closes it. */
export interface OpenFile {
  write(parts: readonly Uint8Array[]): Promise<void>;
  /** Makes the content durable. After an error nobody knows what is on the disk, and a second call would lie. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface ListedName {
  name: string;
  isDirectory: boolean;
}

export interface FileStatus {
  isDirectory: boolean;
  size: number;
  /** Milliseconds since 1970. */
  modifiedAt: number;
  /** Tells one directory from another that was put in its place, such as the empty one below a lost mount. */
  identity: string;
}

/** Few enough for `writev`, whose limit is 1,024 on Linux. */
const PARTS_PER_WRITE = 512;

/** The machine's own file system. */
export const systemFileSystem: FileSystem = {
  createFile: async (path) => new SystemFile(await open(path, 'wx', 0o666)),
  openFile: async (path) => new SystemFile(await open(path, 'r+')),
  makeDirectory: async (path) => void (await mkdir(path)),
  syncDirectory: async (path) => {
    await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    await directory.sync();
  },
  link,
  rename,
  remove: unlink,
  read: (path) => readFile(path),
  readRange: async (path, offset, length) => {
    await using file = await open(path, 'r');
    const bytes = Buffer.allocUnsafeSlow(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  },
  status: async (path) => {
    const found = await statThrough(path);
    return {
      isDirectory: found.isDirectory(),
      size: found.size,
      modifiedAt: Math.floor(found.mtimeMs),
      identity: `${found.dev}:${found.ino}`,
    };
  },
  list: async (path) => {
    const entries = await readdir(path, { withFileTypes: true });
    return Promise.all(
      entries.map(async (entry) => {
        const isDirectory = entry.isSymbolicLink()
          ? await statThrough(join(path, entry.name)).then((found) => found.isDirectory())
          : entry.isDirectory();
        return { name: entry.name, isDirectory };
      }),
    );
  },
};

/** A symbolic link that leads nowhere counts as a file: something is there, and it is not ours. */
function statThrough(path: string): Promise<Stats> {
  return stat(path).catch(() => lstat(path));
}

class SystemFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(parts: readonly Uint8Array[]): Promise<void> {
    for (let first = 0; first < parts.length; first += PARTS_PER_WRITE) {
      await this.#writeSome(parts.slice(first, first + PARTS_PER_WRITE).filter((part) => part.length > 0));
    }
  }

  /** The system may take fewer bytes than it was given; the rest follows. */
  async #writeSome(parts: Uint8Array[]): Promise<void> {
    let rest = parts;
    while (rest.length > 0) {
      let { bytesWritten: taken } = await this.#handle.writev(rest);
      while (rest.length > 0 && taken >= rest[0]!.length) {
        taken -= rest[0]!.length;
        rest = rest.slice(1);
      }
      if (taken > 0) rest = [rest[0]!.subarray(taken), ...rest.slice(1)];
    }
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
