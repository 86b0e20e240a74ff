import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, makeInventory, makeLineage } from '../../test/support/wal-inventory.ts';
import { describeElsewhere } from './describe-elsewhere.ts';
import type { RestoreProposal } from './proposal.ts';
import type { RecoveryTarget } from './recovery-target.ts';
import { findRoutes, routeTo } from './wal-route.ts';

const latest: RecoveryTarget = { kind: 'latest' };
const time: RecoveryTarget = { kind: 'time', at: 0n };

/** The parts of a proposal that count: what was asked for, where recovery ends, and where the WAL that was looked at ends. */
function proposal(asked: RecoveryTarget, to: number, reach: number) {
  return {
    target: { asked },
    wal: { to: at(to) },
    lost: { bytes: at(reach) - at(to), durableEnd: at(reach) },
  } as unknown as RestoreProposal;
}

describe('what a restore leaves out unasked', () => {
  const parent = makeLineage({ name: 'parent', timelines: { 1: [[1, 9.5]] } });
  const child = makeLineage({ name: 'child', parent: { name: 'parent', fork: 6.5 }, timelines: { 1: [[6, 7.75]] } });
  const { current, left } = findRoutes(makeInventory(parent, child), '7', 'main');

  it('is nothing when all that is stored is one history without a hole', () => {
    const only = makeLineage({ name: 'only', timelines: { 1: [[1, 9.5]] } });
    assert.deepEqual(describeElsewhere(proposal(latest, 9.5, 9.5), routeTo(makeInventory(only), only), []), []);
  });

  it('is the WAL behind a hole', () => {
    const broken = makeLineage({ name: 'broken', timelines: { 1: [[1, 4.5], [6, 8], [9, 9.5]] } }); // biome-ignore format: ranges read better in a row
    const said = describeElsewhere(proposal(latest, 4.5, 4.5), routeTo(makeInventory(broken), broken), []);
    assert.deepEqual(said, [
      'WAL is missing from 0/480000 to 0/600000: what is stored behind that, up to 0/980000, cannot be reached from this snapshot. Who still has it can give it: the server by holdfast repository heal, its data directory by holdfast wal rescue.',
    ]);
  });

  it('is what a history that was left holds behind the fork, for the latest and for a time', () => {
    for (const asked of [latest, time]) {
      const [said, ...more] = describeElsewhere(proposal(asked, 7.75, 7.75), current!, left);
      assert.match(said!, /parted from this one at 0\/680000, holds WAL up to 0\/980000 .* --lineage 706172656e74/);
      assert.deepEqual(more, []);
    }
  });

  it('is that also when nothing of the new history is stored yet', () => {
    const fresh = makeLineage({ name: 'child', parent: { name: 'parent', fork: 6.5 }, timelines: { 1: [] } });
    const routes = findRoutes(makeInventory(parent, fresh), '7', 'main');
    assert.equal(describeElsewhere(proposal(latest, 6, 6), routes.current!, routes.left).length, 1);
  });

  it('is nothing for a moment before the fork, or for a position', () => {
    assert.deepEqual(describeElsewhere(proposal(time, 6, 7.75), current!, left), []);
    assert.deepEqual(describeElsewhere(proposal({ kind: 'lsn', lsn: at(7) }, 7, 7.75), current!, left), []);
  });

  it('is nothing of a history that ended where the present one left it', () => {
    const ended = makeLineage({ name: 'parent', timelines: { 1: [[1, 6.5]] } });
    const routes = findRoutes(makeInventory(ended, child), '7', 'main');
    assert.deepEqual(describeElsewhere(proposal(latest, 7.75, 7.75), routes.current!, routes.left), []);
  });
});
