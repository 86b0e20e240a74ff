import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf } from '../lib/index.ts';
import { makeStateDirectory, readStateFile, replaceFile, stateUnreadable } from './durable-file.ts';
import type { Head } from './entry.ts';

/** `<writer>.<seq>`, as the entries are numbered. */
const FILE_PATTERN = /^([0-9a-f]{32})\.([0-9]{16})$/;

/**
 * The heads that a state directory has seen in one repository, outside that repository.
 *
 * Each is a file named by writer and number, holding the entry's SHA-256. So processes that remember at the same time never push each other back:
 * the highest number counts, lower ones are removed afterwards.
 */
export class RememberedHeads {
  readonly #directory: string;

  /** `place`: of one copy of the repository; otherwise of its primary. */
  constructor(stateDirectory: string, repositoryId: string, place?: string) {
    const own = join(stateDirectory, 'heads', repositoryId);
    this.#directory = place === undefined ? own : join(own, 'copies', place);
  }

  /** The highest remembered head of each writer. Errors: `STATE_UNREADABLE`. */
  async read(): Promise<Map<string, Head>> {
    const heads = new Map<string, Head>();
    for (const { file, writer, seq } of await this.#list()) {
      if (seq <= (heads.get(writer)?.seq ?? 0)) continue;
      const sha256 = await this.#readHash(file);
      if (sha256 !== null) heads.set(writer, { seq, sha256 });
    }
    return heads;
  }

  /** Durable when it returns. A head below the remembered one changes nothing. Errors: `STATE_UNWRITABLE`, `STATE_UNREADABLE`. */
  async remember(writer: string, head: Head): Promise<void> {
    const known = (await this.#list()).filter((file) => file.writer === writer);
    if (known.some(({ seq }) => seq >= head.seq)) return;
    await this.#write(writer, head);
    for (const { file } of known) await rm(join(this.#directory, file), { force: true });
  }

  /** Puts a head, or none, in the place of whatever was remembered; only for a regression that somebody acknowledged. */
  async replace(writer: string, head: Head | null): Promise<void> {
    for (const { file } of (await this.#list()).filter((known) => known.writer === writer)) {
      await rm(join(this.#directory, file), { force: true });
    }
    if (head !== null) await this.#write(writer, head);
  }

  async #write(writer: string, { seq, sha256 }: Head): Promise<void> {
    await makeStateDirectory(this.#directory);
    await replaceFile(join(this.#directory, `${writer}.${String(seq).padStart(16, '0')}`), `${sha256}\n`);
  }

  async #list(): Promise<{ file: string; writer: string; seq: number }[]> {
    let names: string[];
    try {
      names = await readdir(this.#directory);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw stateUnreadable(this.#directory, `The system said: ${messageOf(error)}.`, error);
    }
    // Other names are temporary files of a process that was stopped.
    const matches = names.map((name) => FILE_PATTERN.exec(name)).filter((match) => match !== null);
    return matches.map(([file, writer, seq]) => ({ file, writer: writer!, seq: Number(seq) }));
  }

  /** Null when another process has remembered a higher one and removed this since it was listed. */
  #readHash(file: string): Promise<string | null> {
    return readStateFile(join(this.#directory, file), /^[0-9a-f]{64}\n$/, '64 hexadecimal digits');
  }
}
