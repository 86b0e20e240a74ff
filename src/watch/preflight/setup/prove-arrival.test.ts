import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { at, makeInventory, makeLineage } from '../../../../test/support/wal-inventory.ts';
import { findArrived } from './prove-arrival.ts';

const wanted = { system: '7', cluster: 'main', timeline: 1, end: at(8) };

describe('a switched segment', () => {
  const parentBefore = makeLineage({ name: 'parent', timelines: { 1: [[1, 7]] } });
  const parent = makeLineage({ name: 'parent', timelines: { 1: [[1, 8]] } });
  const child = (to: number) =>
    makeLineage({ name: 'child', parent: { name: 'parent', fork: 4.5 }, timelines: { 1: [[4, to]] } });

  it('has arrived where WAL reaches its end now', () => {
    assert.equal(findArrived(makeInventory(parentBefore), makeInventory(parent), wanted), parent.lineage);
  });

  it('has arrived also in a lineage from which another one was forked', () => {
    const found = findArrived(makeInventory(parentBefore, child(5)), makeInventory(parent, child(5)), wanted);
    assert.equal(found, parent.lineage);
  });

  it('has not arrived where another server had WAL of these positions before', () => {
    assert.equal(
      findArrived(makeInventory(parentBefore, child(9)), makeInventory(parentBefore, child(9)), wanted),
      null,
    );
  });

  it('has not arrived while it is not whole, or under another name', () => {
    assert.equal(findArrived(makeInventory(), makeInventory(parentBefore), wanted), null);
    assert.equal(findArrived(makeInventory(), makeInventory(parent), { ...wanted, cluster: 'other' }), null);
  });
});
