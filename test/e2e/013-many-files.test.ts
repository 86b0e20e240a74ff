import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { readPeakMemoryBytes } from '../../bench/processes.ts';
import { systemClock } from '../../src/lib/index.ts';
import { type CommandRun, documentOf, startHoldfast } from '../support/command-line.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { makeRelationFiles } from '../support/relation-files.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

/** `npm run campaign` asks for 100,000. */
const files = Number(process.env.HOLDFAST_RELATION_FILES ?? 20_000);
/** What a backup and a restore may hold at once, all threads together, whether there are 300 files or 100,000. */
const memoryBytesMax = 250 << 20;

it(`${files} relation files are backed up and restored within the memory that they may take`, async (t) => {
  const scratch = await makeScratchDirectory('many-files');
  try {
    await using server = await startPostgres({ major: 18, settings: { autovacuum: 'off' } });
    await server.query("CREATE TABLE mark AS SELECT 'here' AS text");
    makeRelationFiles(join(server.dataDirectory, 'base/5'), files);
    const environment = {
      DATABASE_URL: server.backupSocketUrl,
      HOLDFAST_REPOSITORY: join(scratch, 'repository'),
      HOLDFAST_PASSPHRASE: 'only for tests, known to all',
      HOLDFAST_STATE_DIR: join(scratch, 'state'),
    };
    const run = async (...words: string[]) => {
      const { run, peakBytes } = await runMeasured([...words, '--json'], environment);
      assert.equal(run.code, 0, run.stderr);
      t.diagnostic(`${words[0]}: peak memory ${Math.round(peakBytes / (1 << 20))} MiB`);
      assert.ok(peakBytes < memoryBytesMax, `${words[0]} took ${peakBytes} bytes of memory`);
      return documentOf<Record<string, number>>(run);
    };
    await run('repository', 'init');
    const first = await run('backup');
    assert.ok(first.files! > files, `files: ${first.files}`);
    const second = await run('backup');
    assert.ok(second.newChunks! < 100, `new chunks of the second: ${second.newChunks}`);
    const restored = await run('restore', '--into', join(scratch, 'into'));
    assert.ok(restored.files! > files, `files: ${restored.files}`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

/** Runs a command and looks all the while how much memory it has held at most. */
async function runMeasured(
  words: string[],
  environment: Record<string, string>,
): Promise<{ run: CommandRun; peakBytes: number }> {
  const { child, ended } = startHoldfast(words, { environment });
  let peakBytes = 0;
  let isOver = false;
  const over = ended.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    peakBytes = Math.max(peakBytes, readPeakMemoryBytes(child.pid!));
    await Promise.race([systemClock.sleep(50), over]);
  }
  return { run: await ended, peakBytes };
}
