import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plainPaint } from '../../../src/cli/output/index.ts';
import { formatTimeline, type Timeline } from './chart.ts';

/** Writes every 10 ms for ten seconds, none in the outage. */
const timeline: Timeline = {
  startMs: 1_000,
  endMs: 11_000,
  writesMs: Array.from({ length: 1_000 }, (_, i) => 1_005 + i * 10).filter((ms) => ms < 6_000 || ms >= 9_000),
  backup: { startMs: 2_000, endMs: 4_000 },
  disasterMs: 6_000,
  greenMs: 9_000,
};

describe('the chart of a demo', () => {
  it('shows when writes were acknowledged, and below it what happened', () => {
    assert.deepEqual(formatTimeline(timeline, 62, plainPaint), [
      '  ██████████████████████████████                  ████████████',
      '        ╰─ backup ──╯           ✗──── outage ─────✓',
    ]);
  });

  it('shows fewer writes as lower bars', () => {
    const half = { ...timeline, writesMs: timeline.writesMs.filter((ms, place) => ms < 4_000 || place % 2 === 0) };
    assert.equal(formatTimeline(half, 22, plainPaint)[0], '  ██████▄▄▄▄      ▄▄▄▄');
  });

  it('fits into whatever width there is', () => {
    for (let width = 10; width < 120; width++) {
      for (const line of formatTimeline(timeline, width, plainPaint))
        assert.ok(line.length <= width, `${width}: ${line}`);
    }
  });

  it('names a short backup behind it, where there is room', () => {
    const short = { ...timeline, backup: { startMs: 2_000, endMs: 2_600 } };
    assert.equal(formatTimeline(short, 62, plainPaint)[1], '        ╰──╯ backup             ✗──── outage ─────✓');
    const late = { ...timeline, backup: { startMs: 5_000, endMs: 5_600 } };
    assert.equal(formatTimeline(late, 62, plainPaint)[1], '                          ╰──╯  ✗──── outage ─────✓');
  });

  it('keeps what happened apart when it all happened at once', () => {
    const [, marks] = formatTimeline({ ...timeline, disasterMs: 4_000, greenMs: 4_010 }, 62, plainPaint);
    assert.equal(marks, '        ╰─ backup ──╯✗✓');
  });

  it('bears a run without a single write', () => {
    assert.equal(formatTimeline({ ...timeline, writesMs: [] }, 22, plainPaint)[0]?.trim(), '');
  });
});
