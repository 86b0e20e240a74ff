import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readWalInventory } from '../../src/protect/wal/index.ts';
import type { RecoveryTarget, RestoreOptions } from '../../src/restore/index.ts';
import { startPostgres } from '../support/postgres-server.ts';
import {
  historyOf,
  type ProtectedServer,
  rowsUpTo,
  startProtectedServer,
  untilOpen,
} from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';
import { flushLsnOf, startReceiver } from '../support/wal-receiver.ts';

const owner = runsAsRoot ? { owner: nobody } : {};
const latest: RecoveryTarget = { kind: 'latest' };

describe('restoring across timelines', () => {
  let world: ProtectedServer;
  before(async () => {
    world = await startProtectedServer(18, { autovacuum: 'off' });
    await world.write(5);
    await world.backUp();
    await world.write(5);
    await world.settle();
    await world.receiver.stop();
    await world.server.stop('fast');
  });
  after(() => world?.dispose());

  async function restoreAndRead(options: Pick<RestoreOptions, 'target'> & Partial<RestoreOptions>) {
    const { binDirectory } = world.server;
    const result = await world.restore({ start: { binDirectory }, ...owner, ...options });
    try {
      return { result, rows: await historyOf(result.instance!.instance) };
    } finally {
      await result.instance!.stop();
    }
  }

  /** Puts a restored cluster into use: started as anybody would, written to, and its WAL streamed into the same repository. */
  async function goOnFrom(target: RecoveryTarget, rows: readonly number[]): Promise<void> {
    const { proposal } = await world.restore({ target, exclusive: target.kind === 'lsn', ...owner });
    await using server = await startPostgres({
      major: 18,
      dataDirectory: proposal.into,
      settings: { autovacuum: 'off' },
    });
    await untilOpen(server);
    const { repository, stateDirectory } = world.place;
    await using receiver = startReceiver({
      repository,
      stateDirectory,
      source: server.backupSocketUrl,
      flushIntervalMs: 50,
    });
    for (const n of rows) await server.query(`INSERT INTO history VALUES (${n})`);
    await receiver.durable(await flushLsnOf(server));
    await receiver.stop();
    await rm(proposal.into, { recursive: true });
  }

  it('follows a promotion that lost nothing on the same lineage', async () => {
    await goOnFrom(latest, [11, 12, 13]);
    const { lineages } = await readWalInventory(world.repository);
    assert.equal(lineages.length, 1, 'the new timeline goes on where the old one ended');
    const { result, rows } = await restoreAndRead({ target: latest });
    assert.equal(rows, rowsUpTo(13));
    assert.equal(result.proposal.target.timeline, 2);
    assert.deepEqual(result.reached?.newTimeline, 3);
  });

  it('stops on an older timeline, and begins one with a number that nobody has had', async () => {
    const lsn = world.steps[6]!.lsnAfter;
    const { result, rows } = await restoreAndRead({ target: { kind: 'lsn', lsn }, exclusive: true });
    assert.equal(rows, rowsUpTo(7));
    assert.equal(result.proposal.target.timeline, 1);
    assert.equal(result.reached?.newTimeline, 3, 'timeline 2 is taken');
    assert.equal(result.lost.commits, 6, 'three on timeline 1 and three on timeline 2');
    const histories = (await readdir(join(result.proposal.into, 'pg_wal'))).filter((name) => name.endsWith('.history'));
    assert.ok(histories.includes('00000003.history'));
  });

  it('crosses into a history that forked off below what was stored, and still reaches what was left', async () => {
    const lsn = world.steps[7]!.lsnAfter;
    await goOnFrom({ kind: 'lsn', lsn }, [108, 109]);
    const inventory = await readWalInventory(world.repository);
    assert.equal(inventory.lineages.length, 2, 'the fork is a lineage of its own');
    const parent = inventory.lineages.find((lineage) => lineage.header.parent === null)!;

    const now = await restoreAndRead({ target: latest });
    assert.equal(now.rows, `${rowsUpTo(8)} 108 109`);
    assert.equal(now.result.proposal.target.timeline, 3);
    assert.match(now.result.proposal.warnings.join(), /Another history .* parted from this one .* is not brought back/);

    const before = await restoreAndRead({ target: latest, lineage: parent.lineage.slice(0, 16) });
    assert.equal(before.rows, rowsUpTo(13));

    const early = world.steps[5]!.lsnAfter;
    const shared = await restoreAndRead({ target: { kind: 'lsn', lsn: early }, exclusive: true });
    assert.equal(shared.rows, rowsUpTo(6));

    const left = world.steps[9]!.lsnAfter + (1n << 24n);
    await assert.rejects(
      world.restore({ target: { kind: 'lsn', lsn: left } }),
      (error: { code: string; hints: string[] }) => {
        assert.equal(error.code, 'RESTORE_TARGET_UNREACHABLE');
        assert.match(error.hints.join(' '), new RegExp(`name it with --lineage ${parent.lineage.slice(0, 12)}`));
        return true;
      },
    );
  });
});
