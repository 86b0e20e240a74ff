import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeStateDirectory, replaceFile } from '../../../ledger/index.ts';
import { codeOf } from '../../../lib/index.ts';
import type { ObjectStore } from '../../../repository/index.ts';

/** More would be files that the server never asked for again; the oldest go. */
const KEPT_MAX = 256;

/** A fact: this file is durable in that repository, in these objects. */
export interface Acknowledgement {
  readonly repository: string;
  readonly cluster: string;
  readonly name: string;
  readonly size: number;
  /** Of the file, hexadecimal. */
  readonly sha256: string;
  /** What holds it, with the sizes that the store has for them. */
  readonly objects: readonly { readonly name: string; readonly size: number }[];
}

const schema = z.strictObject({
  version: z.literal(1),
  repository: z.string(),
  cluster: z.string(),
  name: z.string(),
  size: z.int().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  objects: z.array(z.strictObject({ name: z.string(), size: z.int().min(1) })).min(1),
});

/**
 * What a state directory knows to be in one repository, so that the next call needs no key. A fact is written only after what it says is so,
 * and it is believed only while the repository shows the same.
 *
 * Each is a file of two lines: the fact as JSON, and the SHA-256 of that line.
 */
export class Acknowledgements {
  readonly #directory: string;
  readonly #repository: string;

  constructor(stateDirectory: string, repositoryId: string) {
    this.#directory = join(stateDirectory, 'wal-push', repositoryId, 'kept');
    this.#repository = repositoryId;
  }

  /** Errors: STATE_UNWRITABLE. */
  async add(fact: Omit<Acknowledgement, 'repository'>): Promise<void> {
    const line = JSON.stringify({ version: 1, repository: this.#repository, ...fact });
    await makeStateDirectory(this.#directory);
    await replaceFile(this.#pathOf(fact.name), `${line}\n${sealOf(line)}\n`);
  }

  /**
   * Whether the file with this size and hash is known to be durable, and all of its objects are in the store now with the sizes that they had.
   * `cluster` is the one that is meant, `null` when any is. Errors: those of the store.
   */
  async holds(
    store: ObjectStore,
    file: { name: string; size: number; sha256: string; cluster: string | null },
  ): Promise<boolean> {
    const fact = await this.#read(file.name);
    if (fact === null || fact.repository !== this.#repository) return false;
    if (fact.name !== file.name || fact.size !== file.size || fact.sha256 !== file.sha256) return false;
    if (file.cluster !== null && fact.cluster !== file.cluster) return false;
    for (const { name, size } of fact.objects) {
      const stat = await store.stat(name);
      if (stat?.size !== size) return false;
    }
    return true;
  }

  /** Whether anything is said of a file: then its own push looks whether that is so. */
  async mentions(name: string): Promise<boolean> {
    return (await this.#read(name)) !== null;
  }

  /** Forgets a fact that has served. Whoever asks again pushes again, which does no harm. */
  async remove(name: string): Promise<void> {
    await rm(this.#pathOf(name), { force: true });
  }

  /** Drops the oldest facts above the limit. */
  async trim(): Promise<void> {
    const names = (await listDirectory(this.#directory)).sort();
    for (const name of names.slice(0, Math.max(0, names.length - KEPT_MAX))) {
      await rm(join(this.#directory, name), { force: true });
    }
  }

  #pathOf(name: string): string {
    return join(this.#directory, name);
  }

  /** `null` for what is not there, and for what is not what was written: then the file is pushed again. */
  async #read(name: string): Promise<Acknowledgement | null> {
    let text: string;
    try {
      text = await readFile(this.#pathOf(name), 'utf8');
    } catch {
      return null;
    }
    const [line = '', seal] = text.split('\n');
    if (seal !== sealOf(line)) return null;
    const parsed = schema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : null;
  }
}

function sealOf(line: string): string {
  return createHash('sha256').update(line).digest('hex');
}

async function listDirectory(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
