import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import type { RestoreProposal } from '../../src/restore/index.ts';
import { startProtectedServer } from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

it('a restore whose server opens at another position than was proposed fails, and leaves nothing that starts', async () => {
  const world = await startProtectedServer(18, { autovacuum: 'off' });
  try {
    await world.write(3);
    await world.backUp();
    await world.write(3);
    await world.settle();
    const target = { kind: 'lsn', lsn: world.steps[4]!.lsnAfter } as const;
    const start = { binDirectory: world.server.binDirectory };
    for (const [shift, code] of [
      [8n, 'RESTORE_STOPPED_EARLY'],
      [-8n, 'RESTORE_WENT_TOO_FAR'],
    ] as const) {
      const directory = join(world.scratch, code);
      let shown: RestoreProposal | undefined;
      const onProposal = (proposal: RestoreProposal) => {
        shown = proposal;
        throw new Error('only to be looked at');
      };
      const options = { target, exclusive: true, start, into: directory, ...owner };
      await assert.rejects(world.restore({ ...options, onProposal }), /only to be looked at/);
      // The server stops where it is told to; that this is not where the proposal says is what a fault of either would look like.
      const reachedLsn = shown!.target.reachedLsn + shift;
      const proposal = { ...shown!, target: { ...shown!.target, reachedLsn } };
      await assert.rejects(world.restore({ ...options, proposal }), { code });
      const names = await readdir(join(directory, 'global'));
      assert.ok(!names.includes('pg_control'), 'the directory cannot be started');
    }
  } finally {
    await world.dispose();
  }
});
