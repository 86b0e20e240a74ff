import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRepository } from '../../../test/support/memory-repository.ts';
import { placeHold } from '../../repository/index.ts';
import { listAlwaysNeeded } from './keep-locks.ts';

describe('what every backup keeps locked', () => {
  it('has what opens the repository, and the holds', async (test) => {
    const { repository, store } = await createRepository(test);
    const scope = { kind: 'everything' as const };
    const hold = await placeHold(repository, { who: 'anna', why: 'an audit', until: null, purpose: 'legal', scope });
    const names: string[] = [];
    for await (const name of listAlwaysNeeded(store)) names.push(name);
    for (const name of ['format', 'features/prune.holds-1', `keys/${repository.slot}`, `holds/${hold}`])
      assert.ok(names.includes(name), name);
  });
});
