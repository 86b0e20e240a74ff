import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { placeForDoubt } from '../../../../test/support/doubted-snapshots.ts';
import { repositoryWith } from '../../../../test/support/repository-with.ts';
import type { SnapshotRecord } from '../../../repository/index.ts';

const ids = (...snapshots: SnapshotRecord[]) => snapshots.map(({ id }) => id).sort();

describe('doubt about a snapshot', () => {
  it('concerns what was built on it, and nothing before it, where blocks were not sent', async (test) => {
    const { add, doubt, doubted } = await placeForDoubt(test);
    const full = await add(null);
    const first = await add(full);
    const second = await add(first);
    const third = await add(second);
    const beside = await add(first);
    assert.deepEqual((await doubt(second, 'not-sent')).sort(), ids(second, third));
    assert.deepEqual(await Promise.all([full, first, second, third, beside].map(doubted)), [
      false,
      false,
      true,
      true,
      false,
    ]);
  });

  it('concerns the increments that it stands on and all that was built on them, but not their root, where a page differs', async (test) => {
    const { add, doubt, doubted } = await placeForDoubt(test);
    const full = await add(null);
    const first = await add(full);
    const second = await add(first);
    const third = await add(second);
    const beside = await add(first);
    const [other, sound] = [await add(full), await add(null)];
    const found = await doubt(second, 'differs');
    assert.equal(found[0], second.id);
    assert.deepEqual(found.sort(), ids(first, second, third, beside));
    assert.deepEqual(await Promise.all([full, other, sound].map(doubted)), [false, false, false]);
    assert.deepEqual((await doubt(full, 'differs')).sort(), ids(full, first, second, third, beside, other));
  });

  it('concerns what is committed while it is cast, or finds it attested when that one looks', async (test) => {
    const { repository, add, doubt, doubted } = await placeForDoubt(test);
    const base = await add(null);
    const first = await add(base);
    let second: SnapshotRecord | null = null;
    let wasDoubted: boolean | null = null;
    // After the first listing another increment is committed, on one that was listed.
    const listSnapshots = async () => {
      const listing = await repository.listSnapshots();
      if (second === null) {
        second = await add(first);
        wasDoubted = await doubted(first);
      }
      return listing;
    };
    const busy = repositoryWith(repository, { listSnapshots });
    const found = await doubt(base, 'not-sent', busy);
    assert.equal(wasDoubted, false, 'its base was not in doubt yet when it was committed');
    assert.deepEqual(found.sort(), ids(base, first, second!));
  });
});
