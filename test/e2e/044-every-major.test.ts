import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readControlFile } from '../../src/postgres/index.ts';
import { postgresMajors } from '../support/postgres-binaries.ts';
import { historyOf, rowsUpTo, startProtectedServer } from '../support/protected-server.ts';
import { nobody, runsAsRoot } from '../support/scratch.ts';

const owner = runsAsRoot ? { owner: nobody } : {};

for (const major of postgresMajors) {
  test(`PostgreSQL ${major}: a backup and the WAL behind it bring back the state at a position`, async () => {
    const world = await startProtectedServer(major);
    try {
      // A checkpoint, a two-phase commit and a truncation have records whose layout differs between majors.
      await world.write(2);
      const { snapshot } = await world.backUp();
      await world.write(3);
      await world.server.query('CREATE TABLE later AS SELECT 1 AS n; TRUNCATE later; CHECKPOINT');
      await world.write(3);
      await world.settle();

      const { binDirectory } = world.server;
      const result = await world.restore({
        target: { kind: 'lsn', lsn: world.steps[5]!.lsnAfter },
        start: { binDirectory },
        ...owner,
      });
      const instance = result.instance!;
      try {
        assert.equal(await historyOf(instance.instance), rowsUpTo(6));
        assert.equal(result.lost.commits, 2);
        assert.deepEqual(result.checks?.databases, ['template1', 'postgres']);
        assert.deepEqual(result.checks?.invalidIndexes, []);
      } finally {
        await instance.stop();
      }
      const control = await readControlFile(result.proposal.into);
      assert.equal(control.systemId, snapshot.wal.system);
      assert.equal(control.timeline, 2);
    } finally {
      await world.dispose();
    }
  });
}
