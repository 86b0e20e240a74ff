import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { HoldfastError } from '../lib/index.ts';
import { identifyLocation } from '../repository/index.ts';
import { createFile, makeStateDirectory, readStateFile, replaceFile } from './durable-file.ts';

/**
 * Which repository a state directory has seen at each address: one passphrase opens several, and a disk that was swapped or a bucket that was replaced
 * would be taken for the old one without a word.
 *
 * Each is a file named by the address, holding the id. It is written once, by whoever comes first, and replaced only by who says so.
 */
export class KnownPlaces {
  readonly #directory: string;

  constructor(stateDirectory: string) {
    this.#directory = join(stateDirectory, 'places');
  }

  /** The id that is remembered of an address, `null` when none is. Errors: `STATE_UNREADABLE`. */
  async read(location: string): Promise<string | null> {
    const path = await this.#pathOf(location);
    return readStateFile(path, /^[0-9a-f]{32}\n$/, 'the id of a repository, 32 hexadecimal digits');
  }

  /** Remembers what was found first; gives what is remembered then, which another process may have found. Errors: `STATE_UNWRITABLE`, `STATE_UNREADABLE`. */
  async remember(location: string, id: string): Promise<string> {
    const known = await this.read(location);
    if (known !== null) return known;
    await makeStateDirectory(this.#directory);
    return (await createFile(await this.#pathOf(location), `${id}\n`)) ? id : ((await this.read(location)) ?? id);
  }

  /** Puts an id in the place of whatever was remembered; only for who says that another repository is meant. Errors: `STATE_UNWRITABLE`. */
  async replace(location: string, id: string): Promise<void> {
    await makeStateDirectory(this.#directory);
    await replaceFile(await this.#pathOf(location), `${id}\n`);
  }

  /** Two ways to write one address have one file, as far as the address alone tells. */
  async #pathOf(location: string): Promise<string> {
    const { store, parts } = await identifyLocation(location);
    return join(
      this.#directory,
      createHash('sha256')
        .update(JSON.stringify([store, parts]))
        .digest('hex'),
    );
  }
}

/** `place`: where another one was found; `copies` where the primary did not show one itself. `description`: of the primary, without secrets. */
export function otherRepository(
  description: string,
  { expected, found, place }: { expected: string; found: string; place: 'primary' | 'copies' },
): HoldfastError {
  const remembered = `Expected repository ${expected}, which this state directory has seen`;
  if (place === 'copies') {
    return new HoldfastError(
      'REPOSITORY_OTHER',
      'cannot use the copies: they hold another repository than the primary did',
      {
        detail: `${remembered} in the primary, found repository ${found} in a copy. The primary did not show which it holds now. Nothing was written.`,
        hints: [
          'Check the copies that the plan names.',
          `If this one is meant, run \`holdfast repository accept ${found}\` when the primary answers and holds it.`,
        ],
      },
    );
  }
  return new HoldfastError('REPOSITORY_OTHER', `cannot use ${description}: another repository was there before`, {
    detail: `${remembered} there, found repository ${found}. Nothing was written.`,
    hints: [
      'Check that the right disk is mounted, and the address of the bucket.',
      `If this one is meant, run \`holdfast repository accept ${found}\`.`,
    ],
  });
}
