import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { made, placeForDoubt } from '../../../../test/support/doubted-snapshots.ts';
import { repositoryWith } from '../../../../test/support/repository-with.ts';
import { HoldfastError } from '../../../lib/index.ts';
import {
  commitSnapshot,
  committedName,
  listDoubts,
  type Repository,
  type SnapshotRecord,
} from '../../../repository/index.ts';

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

  it('concerns what is committed on it later, without another word', async (test) => {
    const { add, doubt, doubted } = await placeForDoubt(test);
    const base = await add(null);
    await doubt(base, 'not-sent');
    const late = await add(base);
    const later = await add(late);
    assert.deepEqual(await Promise.all([late, later, await add(null)].map(doubted)), [true, true, false]);
  });

  it('is cast whole or not at all, wherever whoever casts it is stopped', async (test) => {
    const { repository, add, doubt, doubted } = await placeForDoubt(test);
    const first = await add(await add(null));
    const second = await add(first);
    const third = await add(second);
    const stopped = new HoldfastError('STORE_UNAVAILABLE', 'the store does not answer');
    let writes = 0;
    const putDrawn: Repository['putDrawn'] = async (...given) => {
      if (writes++ > 0) throw stopped;
      return repository.putDrawn(...given);
    };
    const listSnapshots: Repository['listSnapshots'] = async () => {
      if (writes > 0) throw stopped;
      return repository.listSnapshots();
    };
    await assert.rejects(doubt(second, 'differs', repositoryWith(repository, { putDrawn, listSnapshots })), stopped);
    assert.deepEqual(await Promise.all([first, second, third].map(doubted)), [true, true, true]);
  });

  it('stays on what stood on a snapshot that is forgotten', async (test) => {
    const { repository, add, doubt, doubted } = await placeForDoubt(test);
    const base = await add(null);
    const [first, late] = [await add(base), made(base)];
    const second = await add(first);
    await doubt(base, 'not-sent');
    await commitSnapshot(repository, late);
    for (const { id } of [base, first]) await repository.store.delete(committedName(id));
    assert.deepEqual(await Promise.all([second, late].map(doubted)), [true, true]);
  });

  it('names what is committed while it is cast, as that may be a base already', async (test) => {
    const { repository, add, doubt } = await placeForDoubt(test);
    const base = await add(null);
    const first = await add(base);
    let second: SnapshotRecord | null = null;
    // After the first listing another increment is committed, on one that was listed.
    const listSnapshots = async () => {
      const listing = await repository.listSnapshots();
      second ??= await add(first);
      return listing;
    };
    const busy = repositoryWith(repository, { listSnapshots });
    const found = await doubt(base, 'not-sent', busy);
    assert.deepEqual(found.sort(), ids(base, first, second!));
    const { doubts } = await listDoubts(repository);
    assert.deepEqual(doubts.flatMap(({ snapshots }) => snapshots).sort(), ids(base, first, second!));
  });
});
