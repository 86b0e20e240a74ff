import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AcknowledgedWrite } from '../load.ts';
import { divideAt, type Findings, isAsPromised, measureRpoSeconds } from './account.ts';

function write(number: number, positions: { before: bigint; after?: bigint }, acknowledgedAtMs = 0): AcknowledgedWrite {
  return {
    number,
    kind: 'item-added',
    evidence: `load-${number}`,
    connection: 0,
    startedAtMonotonicMs: acknowledgedAtMs - 1,
    acknowledgedAtMonotonicMs: acknowledgedAtMs,
    acknowledgedAtMs,
    transactionId: BigInt(number),
    walBeforeCommit: positions.before,
    walAfterCommit: positions.after,
  };
}

describe('dividing writes at the position of a disaster', () => {
  const numbers = (writes: AcknowledgedWrite[]) => writes.map((each) => each.number);

  it('asks the WAL only about writes whose commit may lie on either side', async () => {
    const asked: number[] = [];
    const division = await divideAt(
      100n,
      [
        write(1, { before: 80n, after: 100n }), // Its record ends where the other begins.
        write(2, { before: 100n, after: 120n }), // It cannot begin before.
        write(3, { before: 90n, after: 130n }),
        write(4, { before: 90n, after: 130n }),
        write(5, { before: 95n }), // Its connection broke before the position after it was read.
        write(6, { before: 99n }),
      ],
      async ({ number }) => {
        asked.push(number);
        return { 3: 99n, 4: 110n, 5: 96n }[number] ?? null;
      },
    );
    assert.deepEqual(asked, [3, 4, 5, 6]);
    assert.deepEqual(numbers(division.expected), [1, 3, 5]);
    assert.deepEqual(numbers(division.leftOut), [2, 4, 6]);
    assert.equal(division.decidedByWal, 4);
  });

  it('leaves out the write whose commit record is the one at the position', async () => {
    const division = await divideAt(100n, [write(1, { before: 90n, after: 130n })], async () => 100n);
    assert.deepEqual(numbers(division.leftOut), [1]);
  });
});

describe('judging what was found', () => {
  const sound: Findings = {
    expected: [write(1, { before: 1n, after: 2n })],
    leftOut: [],
    decidedByWal: 0,
    missing: [],
    altered: [],
    tooLate: [],
    unanswered: { count: 2, there: 1 },
    broken: [],
  };
  const lost = [write(7, { before: 1n, after: 2n }, 4_000), write(8, { before: 1n, after: 2n }, 4_500)];

  it('bears unanswered writes, whether they are there or not', () => {
    assert.equal(isAsPromised(sound), true);
    assert.equal(measureRpoSeconds(sound, 5_000), 0);
  });

  for (const part of ['missing', 'altered', 'tooLate'] as const) {
    it(`bears no write that is ${part}`, () => assert.equal(isAsPromised({ ...sound, [part]: lost }), false));
  }

  it('bears no broken rule', () => assert.equal(isAsPromised({ ...sound, broken: ['a rule'] }), false));

  it('measures the loss from the oldest lost write to the disaster', () => {
    assert.equal(measureRpoSeconds({ ...sound, missing: [lost[1]!] }, 5_000), 0.5);
    assert.equal(measureRpoSeconds({ ...sound, missing: [lost[1]!], altered: [lost[0]!] }, 5_000), 1);
  });

  it('never calls a loss none', () => {
    assert.ok(measureRpoSeconds({ ...sound, missing: lost }, 1_000) > 0);
  });
});
