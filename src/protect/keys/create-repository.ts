import { openLedger } from '../../ledger/index.ts';
import type { Clock } from '../../lib/index.ts';
import { type Credential, initRepository, type ObjectStore, type Repository } from '../../repository/index.ts';

/**
 * Creates a repository and begins its ledger with the entry that says so, and which key opened it first.
 *
 * The caller closes it. Errors: those of `initRepository` and `openLedger`; after the latter the repository is there, without the entry.
 */
export async function createRepository(options: {
  store: ObjectStore;
  credential: Credential;
  label?: string;
  clock: Clock;
  stateDirectory: string;
  /** As of `initRepository`. */
  onBegin?: () => void;
}): Promise<Repository> {
  const repository = await initRepository(options);
  try {
    const ledger = await openLedger(repository, options.stateDirectory);
    const facts = { keySlot: repository.slot, keyKind: options.credential.kind };
    await ledger.append({ action: 'repository.init', outcome: 'done', subject: repository.id, facts });
  } catch (error) {
    await repository.close();
    throw error;
  }
  return repository;
}
