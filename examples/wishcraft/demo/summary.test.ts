import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plainPaint } from '../../../src/cli/output/index.ts';
import type { AcknowledgedWrite } from '../load.ts';
import type { WriteKind } from '../writes.ts';
import type { Findings } from './account.ts';
import type { DemoResult } from './result.ts';
import { formatObjectives, formatRest, formatSummary, formatVerdict, formatWrites } from './summary.ts';

function write(number: number, kind: WriteKind = 'item-added', acknowledgedAtMonotonicMs = 0): AcknowledgedWrite {
  return {
    ...{ number, kind, evidence: `load-${number}`, connection: 0 },
    ...{ startedAtMonotonicMs: 0, acknowledgedAtMonotonicMs, acknowledgedAtMs: Date.UTC(2026, 10, 23, 5, 0, number) },
    ...{ transactionId: 1n, walBeforeCommit: 1n, walAfterCommit: 2n },
  };
}

const sound: Findings = {
  expected: [...Array.from({ length: 1_200 }, (_, i) => write(i)), write(1_200, 'purchase-made')],
  leftOut: [],
  decidedByWal: 0,
  missing: [],
  altered: [],
  tooLate: [],
  unanswered: { count: 0, there: 0 },
  broken: [],
};

const result: DemoResult = {
  acknowledgedWrites: 1_201,
  missingWrites: 0,
  writesAfterDisaster: 0,
  rpoSeconds: 0,
  rtoSeconds: 4.25,
  recoveredTo: '0/50A80A8',
  snapshot: 'f58bda894b3e',
  backup: { bytes: 1, storedBytes: 1, seconds: 1 },
  restore: { bytes: 1, seconds: 1 },
};

const timeline = {
  ...{ startMs: 0, endMs: 10_000, writesMs: [1], disasterMs: 5_000, greenMs: 9_000 },
  backup: { startMs: 1_000, endMs: 2_000 },
};

describe('the summary of a demo', () => {
  it('counts each kind of write, and all together', () => {
    assert.deepEqual(
      formatWrites({ ...sound, missing: [sound.expected[0]!], altered: [sound.expected[1]!] }, plainPaint),
      [
        '  acknowledged before it  writes  found  missing',
        '  customer created             0      0        0',
        '  registry created             0      0        0',
        '  item added               1,200  1,198        2',
        '  purchase made                1      1        0',
        '  registry edited              0      0        0',
        '  together                 1,201  1,199        2',
      ],
    );
  });

  it('puts what was measured beside what the plan allows', () => {
    assert.deepEqual(formatObjectives('dropped-table', { ...result, rpoSeconds: 1_000 }, plainPaint), [
      '       the plan                     allows       measured',
      '  RTO  scenario 5, data corruption     1 h        ✓ 4.3 s',
      '  RPO  scenario 5, data corruption     1 h  ✓ 16 min 40 s',
      '  RTO  overall                         1 h        ✓ 4.3 s',
      '  RPO  overall                      15 min  ✗ 16 min 40 s',
    ]);
  });

  it('takes the objectives of the scenario that was played', () => {
    const lines = formatObjectives('database-failure', result, plainPaint);
    assert.match(lines[1] ?? '', /database failure +30 min/);
    assert.match(lines[2] ?? '', /database failure +5 min +✓ 0 s/);
  });

  it('says nothing of what there is none of', () => {
    assert.deepEqual(formatRest(sound, timeline, 96, plainPaint), []);
  });

  it('lists apart what was left out, what the WAL decided and what was never answered', () => {
    const leftOut = [
      write(1, 'customer-created', 5_100),
      write(2, 'customer-created', 5_900),
      write(3, 'item-added', 5_400),
    ];
    const text = formatRest(
      { ...sound, leftOut, decidedByWal: 1, unanswered: { count: 4, there: 1 } },
      timeline,
      400,
      plainPaint,
    ).join('\n');
    assert.match(text, /3 writes acknowledged in the 900 ms after it.*\(2 customer created, 1 item added\)/);
    assert.match(text, /1 write was under way at that very moment/);
    assert.match(text, /4 writes had been sent.*each may be there or not, and 1 is\./);
  });

  it('ends with a verdict that names what is wrong', () => {
    assert.match(formatVerdict(sound, result, 400, plainPaint).join(''), /^Nothing is missing\. Each of 1,201 writes/);
    const missing = Array.from({ length: 7 }, (_, i) => write(i));
    const text = formatVerdict(
      { ...sound, missing, tooLate: [write(9)], broken: ['a rule: 1 breaches'] },
      result,
      400,
      plainPaint,
    );
    assert.deepEqual(text, [
      'The recovered database is not what was promised.',
      ...[0, 1, 2, 3, 4].map(
        (i) => `✗ write ${i} (item-added "load-${i}", acknowledged at 2026-11-23T05:00:0${i}.000Z) is missing`,
      ),
      '✗ 2 more, of which each is missing',
      '✗ write 9 (item-added "load-9", acknowledged at 2026-11-23T05:00:09.000Z) is there, but came later',
      '✗ a rule of the data does not hold: a rule: 1 breaches',
    ]);
  });

  it('fits into a narrow terminal', () => {
    const findings = { ...sound, leftOut: [write(1)], decidedByWal: 2, unanswered: { count: 2, there: 2 } };
    const lines = formatSummary({ options: { disaster: 'dropped-table' }, result, findings, timeline }, 60, plainPaint);
    for (const line of lines) assert.ok(line.length <= 60, line);
  });
});
