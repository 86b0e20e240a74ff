import assert from 'node:assert/strict';
import { mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pageChecksum } from '../../src/postgres/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import { testPassphrase } from '../support/repository.ts';
import { prepareVariedChanges, writeVariedChanges } from '../support/varied-changes.ts';

const BLOCK = 8192;

interface CrossCheckDocument {
  readonly older: string;
  readonly newer: string;
  readonly reachedLsn: string | null;
  readonly agrees: boolean | null;
  readonly pages: number | null;
  readonly findings: { readonly count: number; readonly first: { path: string; block: number }[] } | null;
  readonly doubtful: string[];
}

describe('holdfast cross-check', () => {
  let kit: ProtectedServer;
  let scratch: string;

  before(async () => {
    // Nobody else writes to the pages that are altered.
    const settings = { autovacuum: 'off', summarize_wal: 'on', max_prepared_transactions: '2' };
    kit = await startProtectedServer(18, settings);
    await prepareVariedChanges(kit.server);
    await kit.server.query(`
      CREATE TABLE still (n int, filler text);
      INSERT INTO still SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i;
      CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS n;`);
    await kit.backUp();
    await writeVariedChanges(kit.server, 1);
    scratch = join(kit.scratch, 'scratch');
    await mkdir(scratch);
  });
  after(() => kit.dispose());

  const holdfast = (...words: string[]) => {
    const { path, stateDirectory } = kit.place;
    return runHoldfast(words, {
      environment: {
        HOLDFAST_REPOSITORY: path,
        HOLDFAST_PASSPHRASE: testPassphrase,
        HOLDFAST_STATE_DIR: stateDirectory,
      },
    });
  };

  const check = async (...words: string[]) => {
    const run = await holdfast('cross-check', ...words, '--bin-dir', kit.server.binDirectory, '--json');
    return { run, document: documentOf<CrossCheckDocument>(run) };
  };

  it('restores an increment and a full backup, replays both to one position, finds all pages equal and leaves nothing', async () => {
    const increment = await kit.backUp();
    assert.equal(increment.reading.manner, 'increment', JSON.stringify(increment.reading));
    await writeVariedChanges(kit.server, 5);
    const full = await kit.backUp({ type: 'full' });
    await kit.settle();
    const { run, document } = await check('--scratch', scratch);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    assert.deepEqual([document.older, document.newer], [increment.snapshot.id, full.snapshot.id]);
    assert.equal(document.agrees, true);
    assert.ok(document.pages! > 1000);
    assert.deepEqual(await readdir(scratch), []);
    const stored = await check('--stored', increment.snapshot.id, full.snapshot.id);
    assert.equal(stored.run.code, 0, stored.run.stdout);
    assert.equal(stored.document.reachedLsn, null);
  });

  it('finds pages that the older one has otherwise, says which, and ends with 3', async () => {
    const [row] = await kit.server.query<{ path: string }>("SELECT pg_relation_filepath('still') AS path");
    const older = await kit.backUp();
    await kit.server.stop();
    const file = await open(join(kit.server.dataDirectory, row!.path), 'r+');
    const page = Buffer.alloc(BLOCK);
    await file.read(page, 0, BLOCK, 2 * BLOCK);
    // A sound page that is not this one's: as an increment leaves it that was not told of a change.
    page.writeUInt16LE(pageChecksum(page, 4), 8);
    await file.write(page, 0, BLOCK, 4 * BLOCK);
    // Of a position that no server gave.
    page.writeUInt32LE(0xff, 0);
    page.writeUInt16LE(pageChecksum(page, 5), 8);
    await file.write(page, 0, BLOCK, 5 * BLOCK);
    await file.close();
    await kit.server.restart();
    const newer = await kit.backUp({ type: 'full' });
    await kit.settle();
    const { run, document } = await check('--scratch', scratch, older.snapshot.id, newer.snapshot.id);
    assert.equal(run.code, 3, run.stdout + run.stderr);
    assert.equal(document.agrees, false);
    assert.deepEqual(
      document.findings!.first.map(({ path, block }) => [path, block]),
      [4, 5].map((block) => [`data/${row!.path}`, block]),
    );
    assert.deepEqual(document.doubtful, [older.snapshot.id]);
    assert.deepEqual(await readdir(scratch), []);

    const shown = await holdfast('show', older.snapshot.id);
    assert.equal(shown.code, 3);
    assert.match(shown.stdout, new RegExp(`block 4 of .*${row!.path}`));
    for (const { stdout } of [shown, await holdfast('list')]) {
      assert.match(
        stdout,
        /Nothing lifts the doubt\. Take a new backup that reads everything: holdfast backup --type full/,
      );
    }
    assert.doesNotMatch((await holdfast('show', newer.snapshot.id)).stdout, /doubt/);
  });
});
