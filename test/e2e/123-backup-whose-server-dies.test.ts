import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type Clock, type HoldfastError, silentProgress, systemClock } from '../../src/lib/index.ts';
import { connect } from '../../src/postgres/index.ts';
import { checkServer } from '../../src/protect/backup/stages/check-server.ts';
import { secureWal } from '../../src/protect/backup/stages/secure-wal.ts';
import type { SecuredWal } from '../../src/protect/backup/stages/secured-wal.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRepository, type TestRepository, targetOf } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';
import { flushLsnOf } from '../support/wal-receiver.ts';

/** The system's, so much faster that five minutes are a few seconds. */
const FASTER = 60;
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * FASTER,
  sleep: (ms, signal) => systemClock.sleep(ms / FASTER, signal),
};

describe('a backup that brings its own WAL', () => {
  let scratch: string;
  let place: TestRepository;
  let server: PostgresServer;
  before(async () => {
    scratch = await makeScratchDirectory('server-dies');
    place = await makeRepository(scratch);
    server = await startPostgres({ major: 18 });
  });
  after(async () => {
    await server.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  async function begin(notes: string[]): Promise<SecuredWal> {
    const { repository, stateDirectory } = place;
    const source = targetOf(server.backupUrl);
    const connection = await connect(source, { replication: 'physical', applicationName: 'test', clock: systemClock });
    const checked = await checkServer(connection);
    await connection.close();
    const progress = { ...silentProgress, note: (text: string) => void notes.push(text) };
    return secureWal({ repository, source, cluster: 'main', stateDirectory, clock, progress, server: checked });
  }

  it('goes on when the server comes back, and gives up when it stays away for five minutes', async () => {
    const notes: string[] = [];
    await using wal = await begin(notes);
    const start = wal.streamsFrom!;
    await server.restart();
    await server.query('CREATE TABLE written AS SELECT generate_series(1, 1000) AS n');
    const end = await flushLsnOf(server);
    await wal.secured({ timeline: 1, start, end });
    assert.match(notes.join('\n'), /tries again/);

    await server.stop();
    const begun = clock.monotonic();
    const later = wal.secured({ timeline: 1, start, end: end + 0x1000n, isLast: true });
    await assert.rejects(later, (error: HoldfastError) => {
      assert.equal(error.code, 'BACKUP_WAL_STOPPED');
      assert.match(error.detail!, /nothing came for 300 s, and this in its way: .*connect/);
      return true;
    });
    assert.ok(clock.monotonic() - begun >= 300_000);
  });
});
