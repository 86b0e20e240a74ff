import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../lib/index.ts';
import { makeStateDirectory, replaceFile } from './durable-file.ts';
import { stateUnreadable } from './writer-id.ts';

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
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return new Set();
      throw error;
    }
    const lines = text.split('\n').filter((line) => line !== '');
    if (lines.every((line) => /^[0-9a-f]{64}$/.test(line))) return new Set(lines);
    throw stateUnreadable(this.#path, 'Expected lines of 64 hexadecimal digits, found something else.');
  }

  /** Durable when it returns. Errors: `STATE_UNWRITABLE`, `STATE_UNREADABLE`. */
  async add(sha256: string): Promise<void> {
    const known = await this.read();
    await makeStateDirectory(this.#directory);
    await replaceFile(this.#path, [...known.add(sha256)].map((line) => `${line}\n`).join(''));
  }
}
