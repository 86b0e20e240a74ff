import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { it } from 'node:test';
import { silentProgress, systemClock } from '../../src/lib/index.ts';
import { runBackup } from '../../src/protect/backup/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRepository, targetOf, testPassphrase } from '../support/repository.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

it('a backup begins with a spread checkpoint unless it is told otherwise, and says how long that may take', async () => {
  const scratch = await makeScratchDirectory('spread-checkpoint');
  // At 0 the server never sleeps between two pages: the checkpoint is a spread one, and over in a moment.
  const settings = { checkpoint_completion_target: '0', log_replication_commands: 'on', log_checkpoints: 'on' };
  try {
    await using server = await startPostgres({
      major: 18,
      settings: { ...settings, summarize_wal: 'on', log_statement: 'all' },
    });
    await server.query('GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO backup');
    const place = await makeRepository(scratch);
    await using _ = { [Symbol.asyncDispose]: () => place.repository.close() };
    let said: string[] = [];
    let logged = 0;
    const progress = { ...silentProgress, note: (text: string) => void said.push(text) };
    const common = { ...place, source: targetOf(server.backupSocketUrl), cluster: 'main', clock: systemClock };
    /** What the server was asked for, and what was said about it. */
    const asked = async () => {
      const log = (await server.logText()).slice(logged);
      logged += log.length;
      const spreading = said.filter((text) => text.includes('spreads its checkpoint'));
      said = [];
      const fast = /statement:.*pg_backup_start\(.*, (true|false)\)/.exec(log)?.[1];
      const kind = /BASE_BACKUP .*CHECKPOINT '(\w+)'/.exec(log)?.[1] ?? (fast === 'false' ? 'spread' : 'fast');
      return { kind, isAtOnce: /checkpoint starting: (immediate|fast) /.test(log), spreading };
    };

    const first = await runBackup({ ...common, progress });
    assert.equal(first.reading.manner, 'everything');
    const spread = await asked();
    assert.equal(spread.kind, 'spread');
    assert.equal(spread.isAtOnce, false);
    assert.match(spread.spreading.join('\n'), /^the server spreads its checkpoint over up to 0 ms, after one/);

    await server.query('CREATE TABLE changed AS SELECT 1 AS n');
    const second = await runBackup({ ...common, progress });
    assert.equal(second.reading.manner, 'increment', JSON.stringify(second.reading));
    assert.equal((await asked()).kind, 'spread');

    await runBackup({ ...common, progress, direct: true });
    const direct = await asked();
    assert.deepEqual([direct.kind, direct.spreading.length], ['spread', 1]);

    await runBackup({ ...common, progress, checkpoint: 'fast' });
    assert.deepEqual(await asked(), { kind: 'fast', isAtOnce: true, spreading: [] });

    const environment = {
      DATABASE_URL: server.backupSocketUrl,
      HOLDFAST_REPOSITORY: place.path,
      HOLDFAST_PASSPHRASE: testPassphrase,
      HOLDFAST_STATE_DIR: place.stateDirectory,
    };
    const byVariable = await runHoldfast(['backup', '--json'], { environment });
    assert.equal(byVariable.code, 0, byVariable.stderr);
    assert.equal((await asked()).kind, 'fast');
    const byFlag = await runHoldfast(['backup', '--checkpoint', 'spread', '--json'], { environment });
    assert.equal(typeof documentOf(byFlag).snapshot, 'string', byFlag.stderr);
    assert.match(byFlag.stderr, /the server spreads its checkpoint over/);
    assert.equal((await asked()).kind, 'spread');
    assert.equal((await runHoldfast(['backup', '--checkpoint', 'slow'], { environment })).code, 2);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
