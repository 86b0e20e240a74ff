import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
import { openDiskStore, openRepository, type PutOutcome } from '../../src/repository/index.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf, testCredential } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

/** So late does WAL come into the store: far behind the files. */
const WAL_DELAY_MS = 1_500;

/** A store that takes its time for WAL, and lets a test look at what is there when a snapshot is about to be listed. */
class SlowWalStore extends FaultyStore {
  onCommitted: () => Promise<void> = async () => {};

  override async putIfAbsent(name: string, parts: Uint8Array | readonly Uint8Array[]): Promise<PutOutcome> {
    if (name.includes('/fragments/')) await systemClock.sleep(WAL_DELAY_MS);
    if (name.startsWith('snapshots/committed/')) await this.onCommitted();
    return super.putIfAbsent(name, parts);
  }
}

it('a backup is listed only when all its WAL is stored, however late that comes', async () => {
  const scratch = await makeScratchDirectory('backup-slow-wal');
  try {
    await using server = await startPostgres({ major: 18, settings: { autovacuum: 'off' } });
    const { path, stateDirectory, repository: made } = await makeRepository(scratch);
    await made.close();
    const store = new SlowWalStore(openDiskStore(path));
    const repository = await openRepository({
      ...{ store, credential: testCredential, access: 'write', clock: systemClock },
    });
    let inventory = await readWalInventory(repository);
    store.onCommitted = async () => {
      inventory = await readWalInventory(repository);
    };
    const { snapshot } = await runBackup({
      ...{ repository, stateDirectory, cluster: 'main', clock: systemClock, progress: silentProgress, workers: 1 },
      checkpoint: 'fast',
      source: targetOf(server.backupSocketUrl),
    });
    const { lineage, timeline, start, end } = snapshot.wal;
    assert.ok(contiguousEnd(inventory, lineage, timeline, parseLsn(start)) >= parseLsn(end));
    await repository.close();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
