import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Clock, systemClock } from '../../src/lib/index.ts';
import {
  type Access,
  type Credential,
  drawKeyMaterial,
  initRepository,
  KeyRing,
  memoryStore,
  type ObjectStore,
  openRepository,
  type Repository,
} from '../../src/repository/index.ts';
import { makeScratchDirectory } from './scratch.ts';

/** A scratch directory that goes with the test. */
export async function scratchFor(test: TestContext, purpose: string): Promise<string> {
  const directory = await makeScratchDirectory(purpose);
  test.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Keys of a repository that exists nowhere. */
export function randomKeys(): KeyRing {
  return KeyRing.fromMaterial(drawKeyMaterial(randomBytes(16)));
}

/** A key file with fresh bits. */
export async function keyFileIn(directory: string): Promise<Credential> {
  const path = join(directory, `${randomBytes(6).toString('hex')}.key`);
  await writeFile(path, randomBytes(32).toString('hex'));
  return { kind: 'key-file', path };
}

/** A new repository, in memory unless a store is given, and the way to open it again. */
export interface TestRepository {
  repository: Repository;
  store: ObjectStore;
  credential: Credential;
  scratch: string;
  open(options?: { access?: Access; store?: ObjectStore }): Promise<Repository>;
}

export async function createRepository(
  test: TestContext,
  options: { store?: ObjectStore; clock?: Clock } = {},
): Promise<TestRepository> {
  const scratch = await scratchFor(test, 'repository');
  const clock = options.clock ?? systemClock;
  const store = options.store ?? memoryStore({ clock });
  const credential = await keyFileIn(scratch);
  const open = async (wanted: { access?: Access; store?: ObjectStore } = {}) => {
    const opened = await openRepository({
      store: wanted.store ?? store,
      credential,
      access: wanted.access ?? 'write',
      clock,
      stateDirectory: scratch,
    });
    test.after(() => opened.close());
    return opened;
  };
  const repository = await initRepository({ store, credential, clock });
  test.after(() => repository.close());
  return { repository, store, credential, scratch, open };
}
