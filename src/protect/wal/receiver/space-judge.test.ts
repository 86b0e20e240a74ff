import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ServerSpace } from './server-space.ts';
import { budgetAlarm, SpaceJudge, slotEndangered } from './space-judge.ts';

const GIB = 2n ** 30n;
const space = (slotBytes: bigint, others: Partial<ServerSpace> = {}): ServerSpace => ({
  ...{ slotBytes, slotStatus: 'reserved', safeBytes: null, walBytes: null, freeBytes: null, ...others },
});

describe('WAL on the server', () => {
  it('is above the budget from there on, and below it only when a tenth of it is free again', () => {
    const judge = new SpaceJudge(Number(10n * GIB));
    const over = [9n, 10n, 9n, 10n, 8n, 9n].map(
      (gib, index) => judge.judge(space(gib * GIB), index * 1000).isOverBudget,
    );
    assert.deepEqual(over, [false, true, true, true, false, false]);
  });

  it('counts all of pg_wal when that is more than the slot holds back', () => {
    const judge = new SpaceJudge(Number(10n * GIB));
    assert.equal(judge.judge(space(1n, { walBytes: 11n * GIB }), 0).isOverBudget, true);
    assert.equal(new SpaceJudge(Number(10n * GIB)).judge(space(0n, { slotBytes: null }), 0).isOverBudget, false);
  });

  it('grows at a rate that tells when the disk is full and when the slot is lost, once it was watched for a while', () => {
    const judge = new SpaceJudge(Number(GIB));
    const room = { freeBytes: 100n * GIB, safeBytes: 10n * GIB };
    assert.equal(judge.judge(space(2n * GIB, room), 0).growthPerSecond, null);
    const judged = judge.judge(space(3n * GIB, room), 100_000);
    assert.equal(judged.growthPerSecond, Number(GIB) / 100);
    assert.deepEqual([judged.fullInSeconds, judged.lostInSeconds], [10_000, 1_000]);
    const { message, detail } = budgetAlarm('shop', 'holdfast_shop', judged);
    assert.match(message, /keeps 3.*GiB of WAL, more than the budget of 1.*GiB/);
    assert.match(detail!, /the disk is full in 2 h.*the slot is invalidated in 1/);
  });

  it('that does not grow fills no disk', () => {
    const judge = new SpaceJudge(Number(GIB));
    judge.judge(space(3n * GIB), 0);
    const judged = judge.judge(space(2n * GIB, { freeBytes: GIB }), 60_000);
    assert.deepEqual([judged.growthPerSecond, judged.fullInSeconds], [0, null]);
    assert.match(budgetAlarm('shop', 's', judged).detail!, /does not grow now\. The disk has 1.*GiB free/);
  });

  it('forgets a rate of long ago', () => {
    const judge = new SpaceJudge(Number(GIB));
    judge.judge(space(0n), 0);
    judge.judge(space(GIB), 10_000);
    judge.judge(space(GIB), 700_000);
    assert.equal(judge.judge(space(GIB), 710_000).growthPerSecond, 0);
  });

  it('that a slot is about to lose is told with what it costs', () => {
    const judged = new SpaceJudge(Number(GIB)).judge(space(1n, { slotStatus: 'unreserved' }), 0);
    const { message, detail } = slotEndangered('shop', 'holdfast_shop', judged);
    assert.match(message, /about to lose WAL at the next checkpoint/);
    assert.match(detail!, /nothing of cluster "shop" behind it can be restored until a new base backup/);
  });
});
