import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

const settings = { autovacuum: 'off' };

it('a backup of a copy of the server is not listed with the WAL of the original', async () => {
  const scratch = await makeScratchDirectory('backup-of-a-copy');
  try {
    await using original = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings });
    await original.query('CREATE TABLE item (i int)');
    await original.stop();
    const dataDirectory = join(scratch, 'copy');
    await promisify(execFile)('cp', ['-a', original.dataDirectory, dataDirectory]);
    await original.restart();
    await using copy = await startPostgres({ major: 18, dataDirectory, settings });

    const place = await makeRepository(scratch);
    const { repository, stateDirectory } = place;
    await using receiver = startReceiver({ ...place, source: original.backupUrl });
    await original.query('INSERT INTO item SELECT i FROM generate_series(1, 200000) i');
    await receiver.durable(await flushLsnOf(original));
    const said: string[] = [];
    const progress = { ...silentProgress, note: (text: string) => void said.push(text) };
    const back = (url: string, cluster = 'main') =>
      runBackup({
        ...{ repository, stateDirectory, cluster, clock: systemClock, progress },
        ...{ source: targetOf(url), checkpoint: 'fast' },
      });
    await assert.rejects(back(copy.backupUrl), { code: 'BACKUP_WAL_FOREIGN' });
    assert.deepEqual((await repository.listSnapshots()).snapshots, []);

    const { snapshot } = await back(original.backupUrl);
    assert.deepEqual(
      (await repository.listSnapshots()).snapshots.map(({ id }) => id),
      [snapshot.id],
    );
    await receiver.stop();

    // A name of its own is right for a copy, and may be a slip: it is said before anything is kept under it.
    const namesOthers = (text: string) => text.includes('kept as "main" already, and now as "copy" too');
    assert.equal(said.some(namesOthers), false);
    await back(copy.backupUrl, 'copy');
    assert.equal(said.filter(namesOthers).length, 1);
    await back(copy.backupUrl, 'copy');
    assert.equal(said.filter(namesOthers).length, 1, 'once it is kept under that name, nothing is odd');
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
