import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProgressKeeper } from './progress-keeper.ts';

describe('what a receiver knows', () => {
  it('is complete up to a moment once all that the server had flushed then is stored', () => {
    const keeper = new ProgressKeeper();
    keeper.marked({ at: 1_000n, lsn: 100n });
    keeper.marked({ at: 2_000n, lsn: 200n });
    assert.equal(keeper.known, null);
    keeper.stored(150n);
    assert.deepEqual(keeper.known, { until: 1_000n, lsn: 100n });
    keeper.stored(200n);
    assert.deepEqual(keeper.known, { until: 2_000n, lsn: 200n });
  });

  it('moves on while the server writes nothing', () => {
    const keeper = new ProgressKeeper();
    keeper.stored(100n);
    keeper.marked({ at: 1_000n, lsn: 100n });
    keeper.marked({ at: 2_000n, lsn: 100n });
    assert.deepEqual(keeper.known, { until: 2_000n, lsn: 100n });
  });

  it('stands still while the store is away, however often the server is asked', () => {
    const keeper = new ProgressKeeper();
    keeper.stored(100n);
    for (let at = 1n; at <= 1_000n; at++) keeper.marked({ at, lsn: 100n + at });
    assert.equal(keeper.known, null);
    assert.equal(keeper.serverFlushLsn, 1_100n);
    keeper.stored(2_000n);
    assert.ok(keeper.known!.until > 1n);
  });

  it('says nothing about another history', () => {
    const keeper = new ProgressKeeper();
    keeper.marked({ at: 1_000n, lsn: 100n });
    keeper.stored(500n);
    keeper.forgetPositions();
    assert.equal(keeper.known, null);
    assert.equal(keeper.durableLsn, 0n);
  });
});
