import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, makeInventory, makeLineage, makeSnapshot, nameToId } from '../../test/support/wal-inventory.ts';
import { endRouteAt, findRoutes, planFiles, routeEnd, routeTo, whyNotOnRoute } from './wal-route.ts';

const segment = (timeline: number, number: number) =>
  `0000000${timeline}00000000${number.toString(16).toUpperCase().padStart(8, '0')}`;

const namesOf = (files: readonly { name: string }[]) => files.map(({ name }) => name);

/** One lineage with a promotion in the middle of segment 5. */
const promoted = makeLineage({
  name: 'promoted',
  timelines: { 1: [[2, 5.5]], 2: [[5, 8.25]] },
  histories: { 2: [[1, 5.5]] },
});

/** A volume that was rolled back: the child streams other WAL from the middle of segment 6 on, on the same timeline. */
const parent = makeLineage({ name: 'parent', timelines: { 1: [[1, 9.5]] } });
const child = makeLineage({ name: 'child', parent: { name: 'parent', fork: 6.5 }, timelines: { 1: [[6, 7.75]] } });

describe('a route through the WAL', () => {
  it('of one lineage ends where what is stored ends', () => {
    const route = routeTo(makeInventory(promoted), promoted);
    assert.equal(route.timeline, 2);
    assert.equal(routeEnd(route, at(3)), at(8.25));
    assert.equal(routeEnd(route, at(9)), at(9), 'nothing is stored there');
  });

  it('asks for the newer timeline where one begins, and for exactly what is there', () => {
    const inventory = makeInventory(promoted);
    const files = planFiles(inventory, routeTo(inventory, promoted), { from: at(3.25), to: at(8.25) });
    assert.deepEqual(namesOf(files), [
      '00000002.history',
      ...[segment(1, 3), segment(1, 4), segment(2, 5), segment(2, 6), segment(2, 7), segment(2, 8)],
    ]);
  });

  it('that ends on an older timeline serves that timeline to its end, and keeps the number of the newer one from being given again', () => {
    const inventory = makeInventory(promoted);
    const whole = routeTo(inventory, promoted);
    const route = endRouteAt(whole, { lsn: at(5.25), endLsn: at(5.3) });
    assert.equal(route.timeline, 1);
    assert.deepEqual(namesOf(planFiles(inventory, route, { from: at(4), to: at(5.3) })), [
      '00000002.history',
      segment(1, 4),
      segment(1, 5),
    ]);
    assert.equal(
      endRouteAt(whole, { lsn: at(5.5), endLsn: at(5.6) }).timeline,
      2,
      'the switch itself is the new timeline',
    );
  });

  it('knows of a timeline that somebody had although its history is not stored', () => {
    const first = makeLineage({ name: 'first', timelines: { 1: [[1, 4]] } });
    const later = makeLineage({ name: 'later', timelines: { 3: [[2, 4]] }, histories: { 3: [[1, 2.5]] } });
    const inventory = makeInventory(first, later);
    const files = planFiles(inventory, routeTo(inventory, first), { from: at(1), to: at(2) });
    assert.deepEqual(
      files.map((file) => (file.kind === 'history' ? [file.name, file.lineage] : file.name)),
      [['00000002.history', null], ['00000003.history', nameToId('later')], segment(1, 1)],
    );
  });

  it('crosses from parent to child at the fork, and leaves what the parent has beyond it', () => {
    const inventory = makeInventory(parent, child);
    const route = routeTo(inventory, child);
    assert.equal(routeEnd(route, at(2)), at(7.75));
    const names = namesOf(planFiles(inventory, route, { from: at(4), to: at(7.75) }));
    assert.deepEqual(
      names,
      [4, 5, 6, 7].map((number) => segment(1, number)),
    );
  });

  it('reads the parent for what lies before the fork, and the child for a record over it', () => {
    const route = routeTo(makeInventory(parent, child), child);
    const ending = (endLsn: bigint) => endRouteAt(route, { lsn: at(6.25), endLsn }).lineage.lineage;
    assert.equal(ending(at(6.5)), parent.lineage);
    assert.equal(ending(at(6.5) + 8n), child.lineage);
  });

  it('has a hole when the child has not streamed the segment of the fork from its start', () => {
    const late = makeLineage({ name: 'late', parent: { name: 'parent', fork: 6.5 }, timelines: { 1: [[7, 8]] } });
    assert.equal(routeEnd(routeTo(makeInventory(parent, late), late), at(2)), at(6));
  });

  it('shares nothing with a parent from which no position was proved', () => {
    const apart = makeLineage({ name: 'apart', parent: { name: 'parent', fork: 0 }, timelines: { 1: [[6, 7]] } });
    assert.equal(routeTo(makeInventory(parent, apart), apart).parent, null);
  });

  it('does not follow a lineage that is its own ancestor', () => {
    const first = makeLineage({ name: 'first', parent: { name: 'second', fork: 3 }, timelines: { 1: [[1, 4]] } });
    const second = makeLineage({ name: 'second', parent: { name: 'first', fork: 2 }, timelines: { 1: [[1, 4]] } });
    assert.equal(routeTo(makeInventory(first, second), first).parent?.route.parent, null);
  });

  it('is the present one for the lineage that was not left', () => {
    const { current, left } = findRoutes(makeInventory(parent, child), '7', 'main');
    assert.equal(current?.lineage.lineage, child.lineage);
    assert.deepEqual(
      left.map((route) => route.lineage.lineage),
      [parent.lineage],
    );
  });
});

describe('a base backup on a route', () => {
  const route = routeTo(makeInventory(parent, child), child);
  const backup = (lineage: string, wal: [number, number], timeline = 1) =>
    whyNotOnRoute(route, makeSnapshot({ name: 'backup', lineage, wal, timeline }));

  it('of the child, or of the parent before the fork, is a beginning', () => {
    assert.equal(backup('child', [7, 7.5]), null);
    assert.equal(backup('parent', [2, 3]), null);
    assert.equal(backup('parent', [6, 6.5]), null, 'complete exactly at the fork');
  });

  it('of the parent after the fork, of another timeline or of strangers is none, with the reason', () => {
    assert.match(backup('parent', [6, 6.75]) ?? '', /ends after the server left its history/);
    assert.match(backup('parent', [2, 3], 4) ?? '', /timeline 4 does not lead to timeline 1/);
    assert.match(backup('strangers', [2, 3]) ?? '', /of a history that does not lead here/);
    const long = routeTo(makeInventory(promoted), promoted);
    const over = makeSnapshot({ name: 'backup', lineage: 'promoted', wal: [5, 6] });
    assert.match(whyNotOnRoute(long, over) ?? '', /ends after timeline 1 was left/);
  });
});
