import { join } from 'node:path';
import { makeStateDirectory, readStateFile, replaceFile } from './durable-file.ts';

/**
 * Entries that copies have and the primary has lost, of which somebody said that it is known: by SHA-256. They stay in the copies, where nothing is deleted.
 */
export class AcknowledgedHeads {
  readonly #directory: string;
  readonly #path: string;

  constructor(stateDirectory: string, repositoryId: string) {
    this.#directory = join(stateDirectory, 'heads', repositoryId);
    this.#path = join(this.#directory, 'acknowledged');
  }

  /** Errors: `STATE_UNREADABLE`. */
  async read(): Promise<Set<string>> {
    const text = await readStateFile(this.#path, /^([0-9a-f]{64}\n)*$/, 'lines of 64 hexadecimal digits');
    return new Set(text === null || text === '' ? [] : text.split('\n'));
  }

  /** Durable when it returns. Errors: `STATE_UNWRITABLE`, `STATE_UNREADABLE`. */
  async add(sha256: string): Promise<void> {
    const known = await this.read();
    await makeStateDirectory(this.#directory);
    await replaceFile(this.#path, [...known.add(sha256)].map((line) => `${line}\n`).join(''));
  }
}
