import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { comesUpOn, parseCron } from './cron.ts';
import { longestCommonGapMs, longestGapMs, parseSchedule } from './schedule.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

describe('a schedule', () => {
  it('is a line of cron, an interval from a minute to a year, or continuous', () => {
    const read: [string, string, number][] = [
      ['continuous', 'continuous', 0],
      ['every 15m', 'every', 15 * minute],
      ['every 1d', 'every', day],
      ['0 2 * * *', 'cron', day],
      ['*/15 * * * *', 'cron', 15 * minute],
      ['0,10 8-17 * * *', 'cron', 14 * hour + 50 * minute],
      ['0 0 * * sun', 'cron', 7 * day],
      ['0 0 * * 7', 'cron', 7 * day],
      ['30 4 1 jan,jul *', 'cron', 184 * day],
      ['0 0 29 feb *', 'cron', 4 * 365 * day + day],
      // Either of both: cron joins the two by "or".
      ['0 0 1 * mon', 'cron', 7 * day],
    ];
    for (const [text, kind, gap] of read) {
      const schedule = parseSchedule(text);
      assert.equal(schedule?.kind, kind, text);
      assert.equal(longestGapMs(schedule), gap, text);
    }
  });

  it('has, with others, the gap that all of them leave', () => {
    const cases: [string[], number][] = [
      [['0 2 * * 0', '0 2 * * 1-6'], day],
      [['0 2 * * 0', '0 14 * * *'], day],
      [['0 2 * * *', '0 14 * * *'], day / 2],
      // From February to November of a leap year.
      [['0 0 1 feb *', '0 0 1 nov *'], 274 * day],
      // From November of one year to February of the next.
      [['0 0 1 feb-nov *'], 92 * day],
      [['0 2 * * *', 'every 6h'], day / 4],
      [['0 2 * * *', 'every 2d', 'continuous'], 0],
      [['* * * * *', '0 0 29 feb *'], day / 24 / 60],
    ];
    for (const [texts, gap] of cases) {
      const timed = texts.map((text) => ({ when: parseSchedule(text)!, timeZone: 'UTC' }));
      assert.equal(longestCommonGapMs(timed), gap, texts.join());
      assert.equal(longestCommonGapMs(timed.toReversed()), gap, texts.join());
    }
  });

  it('has, with others of another time zone, the gap that all of them leave by one clock', () => {
    // Noon of Sunday in Auckland is Saturday, 23:00 in UTC; in Kathmandu Sunday, 6:15, and in New York Sunday, 17:00.
    const gapOf = (timeZone: string) =>
      longestCommonGapMs([
        { when: parseSchedule('0 12 * * 0')!, timeZone },
        { when: parseSchedule('0 23 * * 0-5')!, timeZone: 'UTC' },
      ]);
    assert.equal(gapOf('Pacific/Auckland'), day);
    assert.equal(gapOf('Asia/Kathmandu'), 31.25 * hour);
    assert.equal(gapOf('America/New_York'), 42 * hour);
  });

  it('is nothing that never comes up, and nothing that cannot be read', () => {
    const never = ['0 0 30 2 *', '0 0 31 2,4,6,9,11 *', '0 0 31 jun */2'];
    const unreadable = [
      ...['', '* * * *', '* * * * * *', '60 * * * *', '0 24 * * *', '0 0 0 * *', '0 0 * 13 *', '0 0 * * 8'],
      ...['5-1 * * * *', '*/0 * * * *', 'a * * * *', '1- * * * *', '0 0 * mon *', '-1 * * * *', '@daily'],
      ...['every', 'every day', 'every 30s', 'every 2y', 'every -1h', 'daily', 'Continuous'],
    ];
    for (const text of [...never, ...unreadable]) assert.equal(parseSchedule(text), null, text);
  });

  it('comes up on the days that its fields name, and on no others', () => {
    const field = (from: number, to: number) =>
      fc.oneof(fc.constant(null), fc.uniqueArray(fc.integer({ min: from, max: to }), { minLength: 1, maxLength: 3 }));
    const days = fc.record({
      days: field(1, 31),
      months: field(1, 12),
      weekdays: field(0, 7),
      at: fc.integer({ min: 0, max: 20_000 }),
    });
    fc.assert(
      fc.property(days, ({ days, months, weekdays, at }) => {
        const words = [days, months, weekdays].map((numbers) => numbers?.join(',') ?? '*');
        const line = parseCron(`0 0 ${words.join(' ')}`);
        assert.ok(line !== null);
        const date = new Date(at * day);
        const isDay = days?.includes(date.getUTCDate()) ?? true;
        const isMonth = months?.includes(date.getUTCMonth() + 1) ?? true;
        const isWeekday = weekdays?.some((weekday) => weekday % 7 === date.getUTCDay()) ?? true;
        const isEither = days !== null && weekdays !== null ? isDay || isWeekday : isDay && isWeekday;
        assert.equal(comesUpOn(line, date), isMonth && isEither);
      }),
    );
  });
});
