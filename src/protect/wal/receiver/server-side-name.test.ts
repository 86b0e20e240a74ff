import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { serverSideName } from './server-side-name.ts';

describe('the name on the server', () => {
  it('is holdfast_<cluster> for an ordinary cluster', () => {
    assert.equal(serverSideName('main'), 'holdfast_main');
    assert.equal(serverSideName('shop-eu_2'), 'holdfast_shop_eu_2');
  });

  it('is always one that a slot can have', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (cluster) => assert.match(serverSideName(cluster), /^[a-z0-9_]{1,63}$/)),
    );
  });

  it('differs for clusters whose names differ only in what a slot cannot have', () => {
    const clusters = ['main', 'Main', 'ma-in', 'ma.in', 'ma:in', 'x'.repeat(80), `${'x'.repeat(80)}y`];
    assert.equal(new Set(clusters.map(serverSideName)).size, clusters.length);
  });
});
