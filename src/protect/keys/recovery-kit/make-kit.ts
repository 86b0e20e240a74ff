import { randomBytes } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import { codeOf, HoldfastError, messageOf } from '../../../lib/index.ts';
import { encodeKeyText, KEY_BYTES, type Repository } from '../../../repository/index.ts';
import { addKey, removeKey } from '../change-keys.ts';
import { composeKit } from './kit-blocks.ts';
import { gatherRepository, type KitFacts } from './kit-facts.ts';
import { renderKit } from './kit-page.ts';

/** What belongs on the page besides what the repository says of itself. */
export interface KitOptions {
  repository: Repository;
  stateDirectory: string;
  places: KitFacts['places'];
  contacts: readonly string[];
  version: string;
  /** Where the page is written; never over a file that is there. */
  path: string;
  /** Whether a key is drawn for this page alone, and its label. */
  withKey: { label: string } | null;
}

/**
 * Writes a recovery kit that only its owner may read. Gives the id of the slot that its key opens, `null` without a key.
 *
 * The key stands nowhere but on the page: when that cannot be written, its slot is removed again; when there is no slot, no page stays.
 * Errors: `KIT_FILE_EXISTS`; `KIT_FILE_UNWRITABLE`; those of `addKey` and of the store.
 */
export async function makeKit(options: KitOptions): Promise<{ slot: string | null; facts: KitFacts }> {
  const { repository, stateDirectory, withKey } = options;
  await using file = await createFile(options.path);
  const bytes = randomBytes(KEY_BYTES);
  const key = { kind: 'key', bytes } as const;
  let slot: string | null = null;
  try {
    if (withKey !== null) slot = await addKey({ repository, stateDirectory, key, label: withKey.label });
    const facts: KitFacts = {
      ...(await gatherRepository(repository)),
      ...{ madeAt: repository.clock.now(), version: options.version },
      ...{ places: options.places, contacts: options.contacts },
      key: slot === null ? null : { slot, lines: encodeKeyText(bytes) },
    };
    const page = renderKit(composeKit(facts), `Recovery kit of repository ${repository.id}`);
    try {
      await file.writeFile(page);
      await file.sync();
    } catch (error) {
      throw unwritable(options.path, error);
    }
    return { slot, facts };
  } catch (error) {
    await rm(options.path, { force: true });
    // Nobody will ever have its key. What hinders the removal is told of the next time that slots are listed.
    if (slot !== null) await removeKey({ repository, stateDirectory, slot }).catch(() => {});
    throw error;
  }
}

async function createFile(path: string) {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unwritable(path, error);
    const isEmpty = (await stat(path).catch(() => null))?.size === 0;
    throw new HoldfastError('KIT_FILE_EXISTS', `cannot write a recovery kit to "${path}": the file exists`, {
      ...(isEmpty ? { detail: 'Expected no file, found an empty one, as a command leaves that was killed.' } : {}),
      hints: isEmpty
        ? ['Delete it, if no other holdfast recovery-kit is at work; no key stands in it.']
        : ['Name another file with --out; a kit is never overwritten, as it may hold the only copy of its key.'],
    });
  }
}

function unwritable(path: string, error: unknown): HoldfastError {
  return new HoldfastError('KIT_FILE_UNWRITABLE', `could not write the recovery kit to "${path}"`, {
    detail: `The system said: ${messageOf(error)}.`,
    hints: ['Check that its directory exists and that you may write there, or name another with --out.'],
    cause: error,
  });
}
