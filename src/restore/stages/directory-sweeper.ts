import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Removes from a directory tree what is not named to it, while the names come in the order of a snapshot's tree: all that lies in one directory
 * comes together, so that only the directories on the way to the last name are kept in mind.
 *
 * Symbolic links are removed as links. Directories that are never named are not looked into.
 */
export class DirectorySweeper {
  readonly #root: string;
  readonly #spared: ReadonlySet<string>;
  /** From the root to the directory of the last name; paths relative to the root. */
  readonly #open: OpenDirectory[] = [openDirectory('.')];
  removed = 0;

  /** `spared` are paths relative to the root that stay, with all that is in them. */
  constructor(root: string, spared: Iterable<string>) {
    this.#root = root;
    this.#spared = new Set(spared);
  }

  /** Names a file or a directory that stays. */
  async keep(path: string, type: 'file' | 'directory'): Promise<void> {
    const parent = dirname(path);
    await this.#goTo(parent);
    const { names, unvisited } = this.#open.at(-1)!;
    const name = path.slice(parent === '.' ? 0 : parent.length + 1);
    // Not opened yet: "a.b" comes between "a" and "a/b", and would close it again.
    if (type === 'directory' && !names.has(name)) unvisited.add(name);
    names.add(name);
  }

  /** Sweeps what is still open, the root last. */
  async finish(): Promise<void> {
    while (this.#open.length > 0) await this.#sweepLast();
  }

  /** Makes a directory the last one that is open; those on the way to it count as named. */
  async #goTo(path: string): Promise<void> {
    while (!isAbove(this.#open.at(-1)!.path, path)) await this.#sweepLast();
    const last = this.#open.at(-1)!.path;
    if (last === path) return;
    let at = last === '.' ? '' : `${last}/`;
    for (const name of path.slice(at.length).split('/')) {
      this.#open.at(-1)!.names.add(name);
      this.#open.at(-1)!.unvisited.delete(name);
      this.#open.push(openDirectory(`${at}${name}`));
      at = `${at}${name}/`;
    }
  }

  async #sweepLast(): Promise<void> {
    const { path, names, unvisited } = this.#open.pop()!;
    await this.#sweep(path, names);
    for (const name of unvisited) {
      const below = path === '.' ? name : `${path}/${name}`;
      if (!this.#spared.has(below)) await this.#sweep(below, NO_NAMES);
    }
  }

  async #sweep(path: string, names: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(join(this.#root, path))) {
      const found = path === '.' ? name : `${path}/${name}`;
      if (names.has(name) || this.#spared.has(found)) continue;
      await rm(join(this.#root, found), { recursive: true, force: true });
      this.removed += 1;
    }
  }
}

interface OpenDirectory {
  readonly path: string;
  readonly names: Set<string>;
  /** Directories in it of which no content was named so far. */
  readonly unvisited: Set<string>;
}

function openDirectory(path: string): OpenDirectory {
  return { path, names: new Set(), unvisited: new Set() };
}

const NO_NAMES: ReadonlySet<string> = new Set();

function isAbove(directory: string, path: string): boolean {
  return directory === '.' || directory === path || path.startsWith(`${directory}/`);
}
