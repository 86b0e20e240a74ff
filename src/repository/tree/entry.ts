import { assert } from '../../lib/index.ts';
import type { FileMap } from './file-map.ts';

interface EntryHead {
  /** Bytewise sorted, parts joined by `/`; relative, without empty parts, `.` and `..`. */
  path: string;
  /** Permission bits as in `stat`. */
  mode: number;
  /** Whole milliseconds since 1970. */
  mtimeMs: number;
}

/** A regular file; `size` in bytes. */
export interface FileEntry extends EntryHead {
  type: 'file';
  size: number;
  content: FileContent;
}

/** The map of a file of at most 1 MiB stands in its entry; a larger one names its map leaves, 32 bytes each. */
export type FileContent = { form: 'inline'; map: FileMap } | { form: 'split'; leaves: Buffer[] };

export interface DirectoryEntry extends EntryHead {
  type: 'directory';
}

/** A symbolic link; `target` as `readlink` gives it. */
export interface LinkEntry extends EntryHead {
  type: 'link';
  target: string;
}

export type TreeEntry = FileEntry | DirectoryEntry | LinkEntry;

/** The order of a tree: by the bytes of the paths in UTF-8, which is not the order of JavaScript's strings. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

/** Whether a path can stand in a tree; another one could lead a restore out of its directory. */
export function isTreePath(path: string): boolean {
  if (path === '' || path.includes('\0') || !path.isWellFormed()) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Asserts what the types cannot say. */
export function assertEntry(entry: TreeEntry): void {
  assert(isTreePath(entry.path), `"${entry.path}" can stand in a tree`);
  assert(Number.isSafeInteger(entry.mtimeMs) && entry.mtimeMs >= 0, 'a time is in whole milliseconds since 1970');
  assert(Number.isInteger(entry.mode) && entry.mode >= 0 && entry.mode <= 0xffffffff, 'a mode has 32 bits');
  if (entry.type === 'file')
    assert(Number.isSafeInteger(entry.size) && entry.size >= 0, 'a size is a whole number of bytes');
}
