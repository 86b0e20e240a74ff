import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { documentOf, runHoldfast } from '../support/command-line.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { makeScratchDirectory } from '../support/scratch.ts';

interface StatusDocument {
  clusters: { cluster: string; snapshots: number; server: { system: string } | null }[];
  findings: { code: string }[];
}

describe('commands without a named cluster', () => {
  let server: PostgresServer;
  let scratch: string;
  let environment: Record<string, string>;

  before(async () => {
    scratch = await makeScratchDirectory('unnamed-cluster');
    server = await startPostgres({ major: 18, walSegmentSizeMb: 1 });
    environment = {
      DATABASE_URL: server.backupUrl,
      HOLDFAST_REPOSITORY: join(scratch, 'repository'),
      HOLDFAST_PASSPHRASE: 'nobody named me',
      HOLDFAST_STATE_DIR: join(scratch, 'state'),
    };
    await run('repository', 'init');
  });
  after(async () => {
    await server?.dispose();
    await rm(scratch, { recursive: true, force: true });
  });

  async function run(...words: string[]) {
    const ended = await runHoldfast([...words, '--json'], { environment });
    assert.equal(ended.code, 0, ended.stderr);
    return ended;
  }

  it('mean the only one that the repository keeps, whatever its name', async () => {
    await run('backup', '--checkpoint', 'fast', '--cluster', 'shop');
    const status = documentOf<StatusDocument>(await run('status'));
    assert.deepEqual(
      status.clusters.map(({ cluster, snapshots, server }) => [cluster, snapshots, server !== null]),
      [['shop', 1, true]],
    );
    const again = documentOf<{ cluster: string }>(await run('backup', '--checkpoint', 'fast'));
    assert.equal(again.cluster, 'shop');
    await run('wal', 'stream', '--until', '0/1');
    const wal = documentOf<{ lineages: { cluster: string }[] }>(await run('wal', 'status'));
    assert.deepEqual(
      wal.lineages.map(({ cluster }) => cluster),
      ['shop'],
    );
  });

  it('speak of all of several, or ask which one is meant', async () => {
    await run('backup', '--checkpoint', 'fast', '--cluster', 'till');
    // No receiver follows "shop" any more, so its status may have a problem to tell.
    const status = documentOf<StatusDocument>(await runHoldfast(['status', '--json'], { environment }));
    assert.deepEqual(
      status.clusters.map(({ cluster, server }) => [cluster, server !== null]),
      [
        ['shop', true],
        ['till', true],
      ],
    );
    const verified = documentOf<{ snapshots: { cluster: string }[] }>(await run('verify'));
    assert.deepEqual(verified.snapshots.map(({ cluster }) => cluster).sort(), ['shop', 'till']);
    for (const words of [
      ['backup'],
      ['wal', 'stream', '--until', '0/1'],
      ['restore', '--into', join(scratch, 'into'), '--dry-run'],
    ]) {
      const ended = await runHoldfast(words, { environment });
      assert.equal(ended.code, 2, words.join(' '));
      assert.match(ended.stderr, /"shop", "till"[\s\S]*--cluster/);
    }
  });

  it('do not take a server that is none of several for one of them', async () => {
    const [address, ...rest] = server.backupUrl.split(`:${server.port}`);
    const elsewhere = { ...environment, DATABASE_URL: [`${address}:1`, ...rest].join('') };
    const away = await runHoldfast(['status', '--json'], { environment: elsewhere });
    const status = documentOf<StatusDocument>(away);
    assert.deepEqual(
      status.clusters.map(({ server }) => server),
      [null, null],
    );
    assert.deepEqual(
      status.findings.map(({ code }) => code),
      ['server-unreachable', 'no-copy-away'],
    );
  });
});
