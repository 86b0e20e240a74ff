import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/index.ts';
import { type ConnectionTarget, parseConnectionString } from '../../src/postgres/index.ts';
import {
  type Credential,
  initRepository,
  openDiskStore,
  openRepository,
  type Repository,
} from '../../src/repository/index.ts';

export const testPassphrase = 'only for tests, known to all';

/** The credential of every repository that a test makes. */
export const testCredential: Credential = { kind: 'passphrase', passphrase: testPassphrase };

/** A new repository on disk below `directory`, with the place of a writer's state beside it. */
export async function makeRepository(directory: string, name = 'repository'): Promise<TestRepository> {
  const path = join(directory, name);
  const stateDirectory = join(directory, `${name}-state`);
  mkdirSync(stateDirectory, { recursive: true });
  const store = openDiskStore(path);
  const repository = await initRepository({ store, credential: testCredential, clock: systemClock });
  return { path, stateDirectory, repository };
}

export interface TestRepository {
  path: string;
  stateDirectory: string;
  repository: Repository;
}

/** The repository of a test, opened again as another process would. */
export function reopenRepository(path: string, access: 'read' | 'write' = 'write'): Promise<Repository> {
  return openRepository({ store: openDiskStore(path), credential: testCredential, access, clock: systemClock });
}

/** A connection string as a program without any environment would read it, nor any file of the user. */
export function targetOf(url: string): ConnectionTarget {
  return parseConnectionString(url, { variables: {}, homeDirectory: '/nowhere' });
}
