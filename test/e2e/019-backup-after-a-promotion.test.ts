import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { untilOpen } from '../support/protected-server.ts';
import { makeRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { startStandby, untilReplayed } from '../support/standby-server.ts';
import { startReceiverProcess } from '../support/wal-receiver.ts';

it('a backup right after a promotion does not need a receiver that has seen it', async () => {
  const scratch = await makeScratchDirectory('backup-promotion');
  try {
    await using primary = await startPostgres({ major: 18, walSegmentSizeMb: 1, settings: { autovacuum: 'off' } });
    await primary.query('CREATE TABLE item (i int)');
    await using standby = await startStandby(primary, join(scratch, 'standby'));
    await untilOpen(standby);
    const place = await makeRepository(scratch);
    const { path: repositoryPath, stateDirectory } = place;
    const receiver = startReceiverProcess({ repositoryPath, stateDirectory, url: primary.backupSocketUrl });
    await receiver.told('progress');
    await untilReplayed(primary, standby);
    // What it last said of itself is fresh for a while: the backup takes it for one that runs.
    await receiver.kill9();
    await primary.stop('immediate');
    await standby.query('SELECT pg_promote()');

    const { snapshot } = await runBackup({
      ...place,
      checkpoint: 'fast',
      ...{ source: targetOf(standby.backupSocketUrl), cluster: 'main', clock: systemClock, progress: silentProgress },
    });
    const { lineage, timeline, start, end } = snapshot.wal;
    assert.equal(timeline, 2);
    const inventory = await readWalInventory(place.repository);
    assert.ok(contiguousEnd(inventory, lineage, timeline, parseLsn(start)) >= parseLsn(end));
    await place.repository.close();
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
