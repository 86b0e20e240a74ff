import { z } from 'zod';
import { groupFacts, optionFacts } from '../option.ts';
import { duration, filled, groupIfGiven, groupOf, LONGEST, orNone, texts, timeZone, wholeNumber } from './kinds.ts';

/** More than anybody keeps: a snapshot every hour for over a century. */
const countMax = 1_000_000;

const count = (of: string) =>
  filled(
    wholeNumber(0, countMax, `The newest snapshot of each of so many ${of}, the newest that have one.`, {
      default: { value: () => 0, text: '0', reason: 'What is not asked for is not kept.' },
    }),
  );

const rules = z
  .strictObject({
    keepWithin: duration('1h', LONGEST, 'Every snapshot that is younger.').optional(),
    hourly: count('hours'),
    daily: count('days'),
    weekly: count('weeks, which begin on Monday'),
    monthly: count('months'),
    yearly: count('years'),
    keepAtLeast: filled(
      wholeNumber(1, countMax, 'So many of the newest sound snapshots are kept in any case.', {
        default: { value: () => 2, text: '2', reason: 'When the newest turns out to be damaged, there is another.' },
      }),
    ),
    keepTags: orNone(texts('Every snapshot with one of these tags.')),
    timeZone: filled(timeZone('The time zone in which hours, days, weeks, months and years begin.')),
    wal: duration(
      '1h',
      LONGEST,
      'How far back every moment stays reachable; as far as keepWithin when left out.',
    ).optional(),
  })
  .register(groupFacts, { check: whyNothingIsKept });

const mapOf = (kind: string, help: string) =>
  z
    .record(z.string().min(1), rules)
    .register(optionFacts, { help, expected: `an object with rules under the name of each ${kind}`, refersTo: [kind] })
    .prefault({});

export const retention = groupOf(
  z.strictObject({
    default: groupIfGiven(
      rules,
      'What is kept where nothing else is said. A snapshot is kept when any rule keeps it; without rules every one is.',
    ),
    clusters: mapOf(
      'cluster',
      'Rules for the clusters that have rules of their own. They stand for themselves and take nothing from the default.',
    ),
    copies: mapOf(
      'copy',
      'Rules for the copies that have rules of their own, and for the first place, which is called primary.',
    ),
  }),
  'How long snapshots and WAL are kept.',
  { carriedOut: 'no' },
);

/** What is kept in any case is no rule: somebody who gives none of them has forgotten them. */
function whyNothingIsKept(group: Readonly<Record<string, unknown>>): string | null {
  const counts = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'];
  const keeps =
    group.keepWithin !== null || counts.some((key) => group[key] !== 0) || (group.keepTags as unknown[]).length > 0;
  return keeps ? null : `Expected a rule that keeps something: keepWithin, ${counts.join(', ')} or keepTags.`;
}
