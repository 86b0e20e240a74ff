import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findings, placeForDoubt } from '../../../../test/support/doubted-snapshots.ts';
import { silentProgress } from '../../../lib/index.ts';
import { attest, listAttestations } from '../../../repository/index.ts';
import { readingOf } from '../reading-done.ts';
import { shareDoubt } from './share-doubt.ts';

describe('an increment whose base came into doubt while it ran', () => {
  it('is attested doubtful as well, with what was found, and none is without that', async (test) => {
    const { repository, ledger, add, doubt, doubted } = await placeForDoubt(test);
    const share = async (snapshot: Awaited<ReturnType<typeof add>>) => {
      const reading = readingOf(snapshot);
      assert.ok(reading?.manner === 'increment');
      return shareDoubt({ repository, ledger, progress: silentProgress, snapshot, reading });
    };
    const base = await add(null);
    await doubt(base, 'not-sent');
    const increment = await add(base);
    assert.equal(await doubted(increment), false);
    assert.deepEqual(await share(increment), { findings: findings('not-sent'), snapshots: [increment.id] });
    assert.equal(await doubted(increment), true);
    const { attestations } = await listAttestations(repository, increment.id);
    assert.deepEqual(attestations.at(-1)!.facts, (await listAttestations(repository, base.id)).attestations[0]!.facts);

    const sound = await add(await add(null));
    assert.equal(await share(sound), null);
    assert.equal(await doubted(sound), false);
  });

  it('is so too where what was found cannot be read', async (test) => {
    const { repository, ledger, add } = await placeForDoubt(test);
    const base = await add(null);
    await attest(repository, { snapshot: base.id, level: 'doubtful', facts: { from: 'elsewhere' } });
    const snapshot = await add(base);
    const reading = readingOf(snapshot);
    assert.ok(reading?.manner === 'increment');
    const shared = await shareDoubt({ repository, ledger, progress: silentProgress, snapshot, reading });
    assert.deepEqual([shared?.snapshots, shared?.findings.count], [[snapshot.id], 0]);
  });
});
