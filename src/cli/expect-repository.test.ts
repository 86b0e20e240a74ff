import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRepository, scratchFor } from '../../test/support/memory-repository.ts';
import { cuttablePlace } from '../../test/support/several-places.ts';
import { HoldfastError } from '../lib/index.ts';
import { expectRepository } from './expect-repository.ts';

it('what is remembered of the address of a primary is what that has shown, never what a copy has in its stead', async (test) => {
  const stateDirectory = await scratchFor(test, 'expected');
  const plan = { stateDirectory, repository: { primary: { name: 'primary', location: '/the/primary' } } };
  const place = cuttablePlace('primary');
  const { repository } = await createRepository(test, { store: place.inner });
  const said: string[] = [];
  const paint = { warning: (text: string) => text } as never;
  const reporter = { say: (lines: (paint: never) => string[]) => said.push(...lines(paint)), emit: () => {} };
  const expect = (id: string, primary: typeof place.store | null, writes = true) =>
    expectRepository(plan, { id, description: 'the disk', primary }, { writes, reporter });
  const refused = async (id: string, primary: typeof place.store | null) => {
    let error: unknown = null;
    await expect(id, primary).catch((caught: unknown) => {
      error = caught;
    });
    assert.ok(error instanceof HoldfastError && error.code === 'REPOSITORY_OTHER', String(error));
    return `${error.message} ${error.detail}`;
  };

  // A copy is of another repository, and the primary is away, or shows one that is its own.
  const other = '0'.repeat(32);
  await expect(other, null);
  await expect(other, place.store);
  place.isCut = true;
  await expect(other, place.store);
  place.isCut = false;
  await expect(repository.id, place.store, false);
  await expect(other, null);
  await expect(repository.id, place.store);

  // From here on the primary's is known.
  const ofCopies = new RegExp(`copies.*${repository.id}.*in the primary.*${other} in a copy.*did not show`);
  assert.match(await refused(other, null), ofCopies);
  assert.match(await refused(other, place.store), ofCopies);
  await expect(other, null, false);
  assert.match(said.splice(0).join(), new RegExp(`^! The copies hold .* expected ${repository.id}, found ${other}`));
  const { repository: swapped } = await createRepository(test, { store: cuttablePlace('swapped').inner });
  assert.match(await refused(swapped.id, swapped.store), new RegExp(`the disk.*there, found repository ${swapped.id}`));
  await expect(swapped.id, swapped.store, false);
  assert.match(said.join(), /^! the disk holds another repository than before/);
});
