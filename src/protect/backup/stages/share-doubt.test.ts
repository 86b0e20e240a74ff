import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findings, placeForDoubt } from '../../../../test/support/doubted-snapshots.ts';
import { silentProgress } from '../../../lib/index.ts';
import { attestDoubt, kindPrefix } from '../../../repository/index.ts';
import { readDoubts } from '../doubts.ts';
import { readingOf } from '../reading-done.ts';
import { shareDoubt } from './share-doubt.ts';

describe('an increment whose base came into doubt while it ran', () => {
  it('is in doubt as well, with what was found, and it is told without another statement', async (test) => {
    const { repository, ledger, add, doubt, doubted } = await placeForDoubt(test);
    const share = async (snapshot: Awaited<ReturnType<typeof add>>) => {
      const reading = readingOf(snapshot);
      assert.ok(reading?.manner === 'increment');
      return shareDoubt({ repository, ledger, progress: silentProgress, snapshot, reading });
    };
    const base = await add(null);
    await doubt(base, 'not-sent');
    const increment = await add(base);
    assert.equal(await doubted(increment), true, 'whether anybody looks again or not');
    assert.deepEqual(await share(increment), { findings: findings('not-sent'), snapshots: [increment.id] });
    const doubts = await readDoubts(repository);
    assert.deepEqual(doubts.about(increment.id), doubts.about(base.id));
    const statements = [];
    for await (const { name } of repository.store.list(kindPrefix('attestation'))) statements.push(name);
    assert.equal(statements.length, 1);

    const sound = await add(await add(null));
    assert.equal(await share(sound), null);
    assert.equal(await doubted(sound), false);
  });

  it('is so too where what was found cannot be read', async (test) => {
    const { repository, ledger, add } = await placeForDoubt(test);
    const base = await add(null);
    await attestDoubt(repository, { snapshots: [base.id], facts: { from: 'elsewhere' } });
    const snapshot = await add(base);
    const reading = readingOf(snapshot);
    assert.ok(reading?.manner === 'increment');
    const shared = await shareDoubt({ repository, ledger, progress: silentProgress, snapshot, reading });
    assert.deepEqual([shared?.snapshots, shared?.findings.count], [[snapshot.id], 0]);
  });
});
