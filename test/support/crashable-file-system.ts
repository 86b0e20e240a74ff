import { basename, dirname } from 'node:path';
import type { FileStatus, FileSystem, ListedName, OpenFile } from '../../src/repository/index.ts';

interface FileNode {
  kind: 'file';
  number: number;
  content: Buffer;
  /** What is sure to be on the disk; `null` before the first sync. */
  synced: Buffer | null;
}

interface DirectoryNode {
  kind: 'directory';
  number: number;
  entries: Map<string, Node>;
  /** The entries as of the last sync. */
  durable: Map<string, Node>;
  /** Changes since then; after a crash each may have come to the disk or not. */
  pending: { name: string; node: Node | null }[];
}

type Node = FileNode | DirectoryNode;

/** What a crash decides: for each change that was not synced, whether it is there. */
export interface Fate {
  /** Whether the next change to a directory survives. */
  survives(): boolean;
  /** What became of the content of a file that was never synced. */
  contentOf(written: Buffer): Buffer;
}

/** Which promises of a file system are broken on purpose, so that a test can show that it would notice. */
export interface BrokenPromises {
  fileSync?: boolean;
  /** Directories, by path, whose sync does nothing. */
  directorySync?: (path: string) => boolean;
}

/**
 * A file system in memory that keeps only what POSIX promises: after a crash the content of a file is sure only up to its last sync, and each
 * name that was added, replaced or removed since the last sync of its directory is there or not, independently of all others.
 */
export class CrashableFileSystem implements FileSystem {
  readonly #root: DirectoryNode;
  #numbers = 0;

  constructor(root?: DirectoryNode) {
    this.#root = root ?? this.#newDirectory();
  }

  /** Called before each operation takes effect. */
  beforeOperation: () => Promise<void> = async () => {};
  /** Called after each operation has taken effect. */
  afterOperation: () => void = () => {};

  /** A copy of the state of this moment, from which crashes can be tried. */
  fork(): CrashableFileSystem {
    const copies = new Map<Node, Node>();
    return new CrashableFileSystem(copyOf(this.#root, copies) as DirectoryNode);
  }

  /** How many decisions a crash at this moment takes. */
  countUncertain(): number {
    const nodes = new Set<Node>();
    collect(this.#root, nodes);
    let count = 0;
    for (const node of nodes) {
      if (node.kind === 'directory') count += node.pending.length;
      else if (node.synced === null) count += 1;
    }
    return count;
  }

  /** What a machine finds after a crash at this moment and a reboot. */
  crash(fate: Fate): CrashableFileSystem {
    return new CrashableFileSystem(survivorOf(this.#root, fate, new Map()) as DirectoryNode);
  }

  /** The same files, as seen by a process on whose behalf some promises are broken. */
  breaking(broken: BrokenPromises): FileSystem {
    const unsynced = async (opening: Promise<OpenFile>): Promise<OpenFile> => {
      const file = await opening;
      return { write: (parts) => file.write(parts), close: () => file.close(), sync: async () => {} };
    };
    return {
      createFile: (path) => (broken.fileSync ? unsynced(this.createFile(path)) : this.createFile(path)),
      openFile: (path) => (broken.fileSync ? unsynced(this.openFile(path)) : this.openFile(path)),
      makeDirectory: (path) => this.makeDirectory(path),
      syncDirectory: async (path) => {
        if (!broken.directorySync?.(path)) await this.syncDirectory(path);
      },
      link: (existing, added) => this.link(existing, added),
      rename: (from, to) => this.rename(from, to),
      remove: (path) => this.remove(path),
      read: (path) => this.read(path),
      readRange: (path, offset, length) => this.readRange(path, offset, length),
      status: (path) => this.status(path),
      list: (path) => this.list(path),
    };
  }

  async createFile(path: string): Promise<OpenFile> {
    const file: FileNode = { kind: 'file', number: this.#number(), content: Buffer.alloc(0), synced: null };
    await this.#operate(() => this.#add(path, file));
    return this.#handleOf(file);
  }

  async openFile(path: string): Promise<OpenFile> {
    return this.#handleOf(this.#file(path));
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#operate(() => this.#add(path, this.#newDirectory()));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#operate(() => {
      const directory = this.#directory(path);
      directory.durable = new Map(directory.entries);
      directory.pending = [];
    });
  }

  async link(existing: string, added: string): Promise<void> {
    await this.#operate(() => this.#add(added, this.#file(existing)));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operate(() => {
      const file = this.#file(from);
      this.#change(from, null);
      this.#change(to, file);
    });
  }

  async remove(path: string): Promise<void> {
    await this.#operate(() => {
      this.#file(path);
      this.#change(path, null);
    });
  }

  async read(path: string): Promise<Buffer> {
    return Buffer.from(this.#file(path).content);
  }

  async readRange(path: string, offset: number, length: number): Promise<Buffer> {
    return Buffer.from(this.#file(path).content.subarray(offset, offset + length));
  }

  async status(path: string): Promise<FileStatus> {
    const node = this.#find(path);
    const size = node.kind === 'file' ? node.content.length : 0;
    return { isDirectory: node.kind === 'directory', size, modifiedAt: 0, identity: String(node.number) };
  }

  async list(path: string): Promise<ListedName[]> {
    const { entries } = this.#directory(path);
    return [...entries].map(([name, { kind }]) => ({ name, isDirectory: kind === 'directory' }));
  }

  #handleOf(file: FileNode): OpenFile {
    return {
      write: (parts) =>
        this.#operate(() => {
          file.content = Buffer.concat([file.content, ...parts]);
        }),
      sync: () =>
        this.#operate(() => {
          file.synced = file.content;
        }),
      close: async () => {},
    };
  }

  async #operate(act: () => void): Promise<void> {
    await this.beforeOperation();
    act();
    this.afterOperation();
  }

  #add(path: string, node: Node): void {
    if (this.#directory(dirname(path)).entries.has(basename(path))) throw systemError('EEXIST', path);
    this.#change(path, node);
  }

  #change(path: string, node: Node | null): void {
    const directory = this.#directory(dirname(path));
    const name = basename(path);
    if (node === null) directory.entries.delete(name);
    else directory.entries.set(name, node);
    directory.pending.push({ name, node });
  }

  #find(path: string): Node {
    let node: Node = this.#root;
    for (const part of path.split('/').filter((text) => text !== '')) {
      if (node.kind === 'file') throw systemError('ENOTDIR', path);
      const next: Node | undefined = node.entries.get(part);
      if (next === undefined) throw systemError('ENOENT', path);
      node = next;
    }
    return node;
  }

  #file(path: string): FileNode {
    const node = this.#find(path);
    if (node.kind === 'directory') throw systemError('EISDIR', path);
    return node;
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path);
    if (node.kind === 'file') throw systemError('ENOTDIR', path);
    return node;
  }

  #newDirectory(): DirectoryNode {
    return { kind: 'directory', number: this.#number(), entries: new Map(), durable: new Map(), pending: [] };
  }

  #number(): number {
    this.#numbers += 1;
    return this.#numbers;
  }
}

function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: "${path}"`), { code });
}

function collect(node: Node, into: Set<Node>): void {
  if (into.has(node)) return;
  into.add(node);
  if (node.kind === 'file') return;
  for (const child of node.entries.values()) collect(child, into);
  for (const child of node.durable.values()) collect(child, into);
}

function copyOf(node: Node, copies: Map<Node, Node>): Node {
  const known = copies.get(node);
  if (known !== undefined) return known;
  if (node.kind === 'file') {
    const copy: Node = { ...node };
    copies.set(node, copy);
    return copy;
  }
  const copy: DirectoryNode = { ...node, entries: new Map(), durable: new Map(), pending: [] };
  copies.set(node, copy);
  for (const [name, child] of node.entries) copy.entries.set(name, copyOf(child, copies));
  for (const [name, child] of node.durable) copy.durable.set(name, copyOf(child, copies));
  copy.pending = node.pending.map(({ name, node: child }) => ({
    name,
    node: child === null ? null : copyOf(child, copies),
  }));
  return copy;
}

function survivorOf(node: Node, fate: Fate, survivors: Map<Node, Node>): Node {
  const known = survivors.get(node);
  if (known !== undefined) return known;
  if (node.kind === 'file') {
    const content = node.synced ?? fate.contentOf(node.content);
    const survivor: Node = { ...node, content, synced: content };
    survivors.set(node, survivor);
    return survivor;
  }
  const left = new Map(node.durable);
  for (const { name, node: child } of node.pending) {
    if (!fate.survives()) continue;
    if (child === null) left.delete(name);
    else left.set(name, child);
  }
  const survivor: DirectoryNode = { ...node, entries: new Map(), durable: new Map(), pending: [] };
  survivors.set(node, survivor);
  for (const [name, child] of left) survivor.entries.set(name, survivorOf(child, fate, survivors));
  survivor.durable = new Map(survivor.entries);
  return survivor;
}
