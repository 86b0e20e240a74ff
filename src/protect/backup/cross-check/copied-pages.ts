import {
  decodeFileMap,
  type FetchChunk,
  FINGERPRINT_BYTES,
  FINGERPRINT_PAGE_BYTES,
  type FileEntry,
  MAP_LEAF_BYTES,
  readTree,
} from '../../../repository/index.ts';
import { relationFileOf } from '../relation-file.ts';

/**
 * Finds pages that a database has from its template. `CREATE DATABASE` with the strategy `file_copy` copies files under their own names before it writes
 * the record that says so: a backup that is taken meanwhile has some of them, and the next one more.
 */
export class CopiedPages {
  readonly #root: string;
  readonly #fetch: FetchChunk;
  #files: Promise<Map<string, FileEntry[]>> | null = null;

  /** `root` is of the tree in which templates are looked for; nothing is read before the first question. */
  constructor(root: string, fetch: FetchChunk) {
    this.#root = root;
    this.#fetch = fetch;
  }

  /** Whether a file of another database has the same page at the same place. Errors: those of trees and chunks. */
  async isCopy(path: string, block: number, fingerprint: Uint8Array): Promise<boolean> {
    this.#files ??= this.#gather();
    const perLeaf = MAP_LEAF_BYTES / FINGERPRINT_PAGE_BYTES;
    const at = (block % perLeaf) * FINGERPRINT_BYTES;
    for (const file of (await this.#files).get(keyOf(path)) ?? []) {
      if (file.path === path) continue;
      const fingerprints = await this.#fingerprintsOf(file, Math.floor(block / perLeaf));
      if (fingerprints?.subarray(at, at + FINGERPRINT_BYTES).equals(fingerprint) === true) return true;
    }
    return false;
  }

  async #gather(): Promise<Map<string, FileEntry[]>> {
    const files = new Map<string, FileEntry[]>();
    for await (const entry of readTree(this.#root, this.#fetch)) {
      if (entry.type !== 'file' || relationFileOf(entry.path) === null) continue;
      const key = keyOf(entry.path);
      files.set(key, [...(files.get(key) ?? []), entry]);
    }
    return files;
  }

  async #fingerprintsOf({ content }: FileEntry, leaf: number): Promise<Buffer | null> {
    if (content.form === 'inline') return leaf === 0 ? content.map.fingerprints : null;
    const id = content.leaves[leaf];
    return id === undefined ? null : decodeFileMap(await this.#fetch(id)).fingerprints;
  }
}

/** A copy has the name of its file, whatever database and tablespace it is in. */
function keyOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
