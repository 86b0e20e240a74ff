import { z } from 'zod';
import { groupFacts, optionFacts } from '../option.ts';
import {
  choice,
  day,
  duration,
  groupOf,
  LONGEST,
  listOf,
  listWithoutNames,
  nameFrom,
  nameOf,
  namesFrom,
  orNone,
  text,
  texts,
} from './kinds.ts';

export const compliance = groupOf(
  z.strictObject({
    requirements: listOf(
      'requirement',
      z.strictObject({
        name: nameOf('requirement'),
        title: text('The law, the standard or the contract.'),
        demands: text('What it asks for.'),
      }),
      'Rules that the service has to keep.',
    ),
    retentionClasses: listOf(
      'retention class',
      z.strictObject({
        name: nameOf('retention class'),
        keepFor: duration('1d', LONGEST, 'For how long it has to be kept at the least.'),
        why: text('What asks for it.'),
        dataSets: orNone(namesFrom('data set', 'What has to be kept; all that is backed up when left out.')),
      }),
      'What has to be kept for how long, and because of what.',
    ),
    legalHolds: listOf(
      'legal hold',
      z
        .strictObject({
          name: nameOf('legal hold'),
          who: text('Who ordered it.'),
          why: text('What for.'),
          until: day('The last day of it; until somebody ends it when left out.').optional(),
          cluster: nameFrom('cluster', 'Whose snapshots are held; those of every cluster when left out.').optional(),
          from: day('Only snapshots from this day on.').optional(),
          to: day('Only snapshots up to this day.').optional(),
        })
        .register(groupFacts, {
          check: ({ from, to }) =>
            from !== null && to !== null && String(from) > String(to) ? 'Expected from to be no later than to.' : null,
        }),
      'What must not be deleted, whatever retention says.',
    ),
    personalData: listOf(
      'kind of personal data',
      z.strictObject({
        name: nameOf('kind of personal data'),
        dataSet: nameFrom('data set', 'Where it lies.'),
        subjects: text('Whose it is.'),
        categories: texts('What it tells of them.'),
        purpose: text('What it is kept for.'),
        basis: text('What allows it.'),
        keepFor: duration('1d', LONGEST, 'After what time it is to be gone, also from backups.').optional(),
        erasure: choice(
          ['reapplied', 'expires'],
          'What becomes of an erased person in backups. reapplied: each restore erases again before anybody sees it. expires: the person is gone when the last backup is.',
        ).optional(),
      }),
      'The inventory of personal data.',
    ),
  }),
  'What has to be kept, what must not, and because of what.',
  { carriedOut: 'no' },
);

export const acceptedRisks = listWithoutNames(
  z.strictObject({
    finding: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/)
      .register(optionFacts, {
        help: 'The id of the finding of the linter that is accepted.',
        expected: 'an id as the linter prints it, such as C9',
      }),
    at: text(
      'The option that the finding is about, or what it stands in, with names as the linter shows it (functions.pay.rto); wherever it is found when left out.',
    ).optional(),
    who: nameFrom(['contact', 'role'], 'Who accepts it.'),
    why: text('Why that is right.'),
    until: day('The last day on which it is accepted.'),
  }),
  'Findings of the linter that somebody answers for.',
  { carriedOut: 'no' },
);
