import assert from 'node:assert/strict';
import { readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/lib/index.ts';
import { parseLsn } from '../../src/postgres/index.ts';
import { readDoubts } from '../../src/protect/backup/index.ts';
import { contiguousEnd, readWalInventory } from '../../src/protect/wal/index.ts';
import { listAttestations } from '../../src/repository/index.ts';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { type ProtectedServer, startProtectedServer } from '../support/protected-server.ts';
import { testPassphrase } from '../support/repository.ts';
import { removeFromSummaries } from '../support/wal-summary-file.ts';

describe('an increment from a server whose summaries lie', () => {
  let kit: ProtectedServer;
  before(async () => {
    kit = await startProtectedServer(18, { summarize_wal: 'on', autovacuum: 'off' });
    await kit.server.query(`
      CREATE TABLE item (n int, filler text);
      INSERT INTO item SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i;
      CREATE TABLE other AS SELECT * FROM item;`);
  });
  after(() => kit.dispose());

  const levelsOf = async (snapshot: string) => {
    const { attestations } = await listAttestations(kit.repository, snapshot);
    const isDoubtful = (await readDoubts(kit.repository)).isAbout(snapshot);
    return [...attestations.map(({ level }) => level), ...(isDoubtful ? ['doubtful'] : [])];
  };

  it('is held against the WAL, found wanting, and everything is read instead, and what it stood on is in doubt', async () => {
    const { server, backUp } = kit;
    const first = await backUp();
    await server.query("UPDATE other SET filler = 'y' WHERE n = 7");
    const second = await backUp();
    assert.equal(second.reading.manner, 'increment', JSON.stringify(second.reading));
    assert.ok(second.reading.manner === 'increment' && second.reading.crossCheck!.blocks! > 0);
    assert.equal(second.doubt, null);

    await server.query("UPDATE item SET filler = 'y' WHERE n % 1000 = 0; UPDATE other SET filler = 'z' WHERE n = 9");
    await server.query('CHECKPOINT');
    await untilSummarized();
    const [{ file }] = (await server.query<{ file: number }>("SELECT pg_relation_filenode('item')::int AS file")) as [
      { file: number },
    ];
    assert.ok((await removeFromSummaries(server, file)) > 0);

    const third = await backUp();
    assert.equal(third.reading.manner, 'everything');
    assert.ok(third.reading.manner === 'everything' && /left out \d+ blocks of which the WAL/.test(third.reading.why!));
    const { findings, snapshots } = third.doubt!;
    assert.ok(findings.count >= 5);
    for (const finding of findings.first) {
      assert.equal(finding.relationNumber, file);
      assert.equal(finding.kind, 'not-sent');
      assert.match(finding.path, new RegExp(`^data/base/\\d+/${file}$`));
      assert.match(finding.relation!, /^table "public\.item" of database "postgres"$/);
      assert.ok(finding.lsn! >= findings.from && finding.lsn! < findings.to);
    }
    assert.deepEqual(snapshots, [second.snapshot.id]);
    assert.deepEqual(await levelsOf(first.snapshot.id), ['stored']);
    assert.deepEqual(await levelsOf(second.snapshot.id), ['stored', 'doubtful']);
    assert.deepEqual(await levelsOf(third.snapshot.id), ['stored']);
    const told = (await actionsInLedger()).filter(({ action }) => action === 'cross-check');
    assert.deepEqual(told, [{ action: 'cross-check', outcome: 'failed', subject: second.snapshot.id }]);

    // The new one is sound, whatever the summaries say, and the next increment stands on it.
    await server.query("UPDATE other SET filler = 'q' WHERE n = 11");
    const fourth = await backUp();
    assert.ok(fourth.reading.manner === 'increment' && fourth.reading.base === third.snapshot.id);
    assert.ok(fourth.reading.crossCheck!.blocks! > 0);
  });

  it('is found wanting where a table was cut off and has grown again by pages that no WAL tells of', async () => {
    const { server, backUp } = kit;
    await server.query("CREATE TABLE cut AS SELECT i AS n, repeat('x', 100) AS filler FROM generate_series(1, 5000) i");
    const base = await backUp();
    await server.query('DELETE FROM cut WHERE n > 1000');
    await server.query('VACUUM (TRUNCATE) cut');
    const [row] = await server.query<{ path: string; blocks: number }>(
      "SELECT pg_relation_filepath('cut') AS path, (pg_relation_size('cut') / 8192)::int AS blocks",
    );
    const { path, blocks } = row!;
    // As a COPY leaves a table that was stopped after it had made room.
    await truncate(join(server.dataDirectory, path), (blocks + 10) * 8192);
    const next = await backUp();
    assert.equal(next.reading.manner, 'everything');
    const { findings, snapshots } = next.doubt!;
    assert.deepEqual(
      findings.first.map(({ kind, block }) => [kind, block]),
      Array.from({ length: 10 }, (_, i) => ['regrown', blocks + i]),
    );
    assert.deepEqual(snapshots, [base.snapshot.id]);
    assert.ok(
      findings.first.every(({ lsn }) => lsn !== null),
      'the record that cut the table off is named',
    );
  });

  it('is found wanting where a table was cut off and nothing of it was sent', async () => {
    const { server, backUp } = kit;
    await server.query(
      "CREATE TABLE short AS SELECT i AS n, repeat('x', 100) AS filler FROM generate_series(1, 5000) i",
    );
    await backUp();
    await server.query('DELETE FROM short WHERE n > 1000');
    await server.query('VACUUM (TRUNCATE) short');
    await server.query('CHECKPOINT');
    await untilSummarized();
    const [row] = await server.query<{ file: number; blocks: number }>(
      "SELECT pg_relation_filenode('short')::int AS file, (pg_relation_size('short') / 8192)::int AS blocks",
    );
    const { file, blocks } = row!;
    assert.ok((await removeFromSummaries(server, file)) > 0);
    const next = await backUp();
    assert.equal(next.reading.manner, 'everything');
    const { first } = next.doubt!.findings;
    assert.ok(
      first.some(({ kind, block, relationNumber }) => kind === 'not-sent' && block < blocks && relationNumber === file),
    );
  });

  it('leaves the base without doubt where a known defect explains it, and the base had been checked', async () => {
    const { server, backUp } = kit;
    await server.query(
      "CREATE TABLE again AS SELECT i AS n, repeat('x', 100) AS filler FROM generate_series(1, 5000) i",
    );
    const base = await backUp();
    await server.query('DELETE FROM again WHERE n > 1000');
    await server.query('VACUUM (TRUNCATE) again');
    await server.query('CHECKPOINT');
    await untilSummarized();
    const [row] = await server.query<{ file: number; blocks: number; lsn: string }>(
      "SELECT pg_relation_filenode('again')::int AS file, (pg_relation_size('again') / 8192)::int AS blocks, (SELECT max(end_lsn) FROM pg_available_wal_summaries()) AS lsn",
    );
    const { file, blocks, lsn } = row!;
    await server.query("INSERT INTO again SELECT i, repeat('y', 100) FROM generate_series(1, 2000) i");
    await server.query('CHECKPOINT');
    await untilSummarized();
    // As the server does where it reads the summary of the cut last: what was written behind it is forgotten.
    assert.ok((await removeFromSummaries(server, file, { from: parseLsn(lsn) })) > 0);
    const next = await backUp();
    assert.equal(next.reading.manner, 'everything');
    const { findings, snapshots } = next.doubt!;
    assert.ok(
      findings.first.length > 0 && findings.first.every(({ kind, block }) => kind === 'not-sent' && block >= blocks),
    );
    assert.deepEqual(snapshots, []);
    assert.deepEqual(await levelsOf(base.snapshot.id), ['stored']);
    const told = (await actionsInLedger()).filter(({ action }) => action === 'cross-check').at(-1);
    assert.deepEqual(told, { action: 'cross-check', outcome: 'failed', subject: base.snapshot.id });
  });

  it('always has visibility maps whole, as clearing a bit of one names no block of it', async () => {
    const { server, backUp, settle } = kit;
    await server.query('CREATE TABLE seen AS SELECT generate_series(1, 5000) AS n');
    await server.query('VACUUM (FREEZE) seen');
    await backUp();
    await server.query('DELETE FROM seen WHERE n = 7');
    const increment = await backUp();
    assert.equal(increment.reading.manner, 'increment', JSON.stringify(increment.reading));
    await settle();
    const [row] = await server.query<{ path: string }>("SELECT pg_relation_filepath('seen') || '_vm' AS path");
    const { proposal } = await kit.restore({ target: { kind: 'immediate' }, snapshot: increment.snapshot.id });
    const [kept, own] = await Promise.all(
      [proposal.into, server.dataDirectory].map((directory) => readFile(join(directory, row!.path))),
    );
    assert.ok(kept!.subarray(24).equals(own!.subarray(24)));
    assert.notEqual(own![24]! & 3, 3, 'the first page of the table is no longer all visible');
  });

  it('ends with a sound backup and exit code 3 also where the backup brings its own WAL', async () => {
    const { server, backUp, place, repository } = kit;
    const base = await backUp();
    await server.query("UPDATE item SET filler = 'w' WHERE n % 1000 = 1");
    await server.query('CHECKPOINT');
    await untilSummarized();
    const [row] = await server.query<{ file: number }>("SELECT pg_relation_filenode('item')::int AS file");
    assert.ok((await removeFromSummaries(server, row!.file)) > 0);
    await kit.settle();
    await kit.receiver.stop();

    const run = await runHoldfast(['backup', '--json'], {
      environment: {
        DATABASE_URL: server.backupSocketUrl,
        HOLDFAST_CLUSTER: 'main',
        HOLDFAST_REPOSITORY: place.path,
        HOLDFAST_PASSPHRASE: testPassphrase,
        HOLDFAST_STATE_DIR: place.stateDirectory,
      },
    });
    assert.equal(run.code, 3, run.stdout + run.stderr);
    const { snapshot } = documentOf<{ snapshot: string }>(run);
    const { snapshots } = await repository.listSnapshots();
    const { wal } = snapshots.find(({ id }) => id === snapshot)!;
    const stored = contiguousEnd(await readWalInventory(repository), wal.lineage, wal.timeline, parseLsn(wal.start));
    assert.ok(stored >= parseLsn(wal.end), 'all WAL of the backup is there');
    assert.deepEqual(await levelsOf(base.snapshot.id), ['stored', 'doubtful']);
    assert.deepEqual(await levelsOf(snapshot), ['stored']);
    const slots = await server.query("SELECT FROM pg_replication_slots WHERE slot_name LIKE 'holdfast_main\\_%'");
    assert.equal(slots.length, 0, 'the slot of the backup has gone with it');
  });

  async function actionsInLedger(): Promise<{ action: string; outcome: string; subject: string }[]> {
    const entries = [];
    for await (const { name } of kit.repository.store.list('ledger/')) {
      const { action, outcome, subject } = (await kit.repository.getJson('ledger', name)) as Record<string, string>;
      entries.push({ action: action!, outcome: outcome!, subject: subject! });
    }
    return entries;
  }

  async function untilSummarized(): Promise<void> {
    for (let tries = 0; tries < 600; tries++) {
      const [row] = await kit.server.query<{ done: boolean }>(`
        SELECT max(end_lsn) >= (SELECT redo_lsn FROM pg_control_checkpoint()) AS done FROM pg_available_wal_summaries()`);
      if (row!.done) return;
      await systemClock.sleep(100);
    }
    throw new Error('the server has summarized nothing for a minute');
  }
});
