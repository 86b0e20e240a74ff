import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { readPeakMemoryBytes } from '../../bench/processes.ts';
import { systemClock } from '../../src/lib/index.ts';
import { type CommandRun, documentOf, startHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeRelationFiles } from '../support/relation-files.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

/** `npm run campaign` asks for 100,000. */
const files = Number(process.env.HOLDFAST_RELATION_FILES ?? 20_000);
/** What a backup and a restore may hold at once, all threads together, whether there are 300 files or 100,000. */
const memoryBytesMax = 250 << 20;
/** What is done with waits a little longer to be collected where threads wait for a processor: what is above once is measured again. */
const attemptsMax = 3;

it(`${files} relation files are backed up and restored within the memory that they may take`, async (t) => {
  const scratch = await makeScratchDirectory('many-files');
  try {
    await using server = await startPostgres({ major: 18, settings: { autovacuum: 'off' } });
    await server.query("CREATE TABLE mark AS SELECT 'here' AS text");
    makeRelationFiles(join(server.dataDirectory, 'base/5'), files);
    for (let attempt = 1; ; attempt++) {
      const peaks = await backUpAndRestore(server, join(scratch, String(attempt)));
      t.diagnostic(
        peaks.map(({ verb, bytes }) => `${verb}: peak memory ${Math.round(bytes / (1 << 20))} MiB`).join(', '),
      );
      const above = peaks.filter(({ bytes }) => bytes >= memoryBytesMax);
      if (above.length === 0) break;
      assert.ok(attempt < attemptsMax, `${above.map(({ verb, bytes }) => `${verb} took ${bytes} bytes`)} of memory`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

/** A first backup, the next one and a restore, and what each has held at most. */
async function backUpAndRestore(server: PostgresServer, scratch: string): Promise<{ verb: string; bytes: number }[]> {
  const peaks: { verb: string; bytes: number }[] = [];
  const environment = {
    DATABASE_URL: server.backupSocketUrl,
    HOLDFAST_REPOSITORY: join(scratch, 'repository'),
    HOLDFAST_PASSPHRASE: 'only for tests, known to all',
    HOLDFAST_STATE_DIR: join(scratch, 'state'),
  };
  const run = async (verb: string, ...words: string[]) => {
    const { run, peakBytes } = await runMeasured([verb, ...words, '--json'], environment);
    assert.equal(run.code, 0, run.stderr);
    peaks.push({ verb, bytes: peakBytes });
    return documentOf<Record<string, number>>(run);
  };
  try {
    await mkdir(scratch);
    await run('repository', 'init');
    const first = await run('backup');
    assert.ok(first.files! > files, `files: ${first.files}`);
    const second = await run('backup');
    assert.ok(second.newChunks! < 100, `new chunks of the second: ${second.newChunks}`);
    const restored = await run('restore', '--into', join(scratch, 'into'));
    assert.ok(restored.files! > files, `files: ${restored.files}`);
    return peaks;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

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
