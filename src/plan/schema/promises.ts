import { z } from 'zod';
import { groupFacts } from '../option.ts';
import type { Schedule } from '../schedule.ts';
import {
  choice,
  duration,
  filled,
  groupOf,
  listOf,
  listWithoutNames,
  nameFrom,
  nameOf,
  namesFrom,
  orNone,
  percentage,
  promise,
  schedule,
  text,
  texts,
  timeZone,
  wholeNumber,
  yesOrNo,
} from './kinds.ts';

export const objectives = groupOf(
  z.strictObject({
    rto: promise('How long the whole service may be out.').optional(),
    rpo: promise('How much data may be lost, in time.').optional(),
    availability: percentage('The share of each calendar month in which the service answers.').optional(),
    detection: filled(
      duration('1s', '1d', 'How long it takes until an outage is noticed; it counts into every recovery.', {
        default: {
          value: () => '2m',
          text: '2m',
          reason: 'Three probes in a row at half a minute each, and their time-outs.',
        },
      }),
    ),
    decision: filled(
      duration(
        '0s',
        '1d',
        'How long people take to decide on a recovery, once it is noticed; it counts into every recovery.',
        {
          default: {
            value: () => '10m',
            text: '10m',
            reason: 'Somebody is reached, reads what is proposed, and says yes.',
          },
        },
      ),
    ),
  }),
  'What is promised of the service as a whole.',
  { carriedOut: 'no' },
);

const priorityMax = 100;

export const functions = listOf(
  'function',
  z.strictObject({
    name: nameOf('function'),
    title: text('What people call it.').optional(),
    priority: wholeNumber(1, priorityMax, 'Its place in the order of recovery; 1 comes first.').optional(),
    rto: promise('How long it may be out.'),
    rpo: promise('How much of its data may be lost, in time.').optional(),
    dataSets: orNone(namesFrom('data set', 'What it needs to work.')),
    probes: orNone(namesFrom('probe', 'What has to be green for it to count as back.')),
    fallback: choice(
      ['read-only-replica', 'durable-inbox', 'static-page'],
      'What serves in its place while the primary database is out: reads from a replica, an inbox that keeps what arrives and works it off later, or a page.',
    ).optional(),
  }),
  'Business functions, each with its own promises.',
  { carriedOut: 'no' },
);

const degrees = ['very-low', 'low', 'medium', 'high', 'very-high'] as const;

/** What brings the service back; each takes its own time and loses its own share of data. */
export const recoveryMethods = [
  'restore',
  'point-in-time',
  'failover',
  'redeploy',
  'other-provider',
  'provider',
  'by-hand',
] as const;

export const steps = listWithoutNames(
  z.strictObject({
    does: text('What is done, in a sentence.'),
    command: text('The command that does it.').optional(),
    role: nameFrom('role', 'Who does it, or says yes to it.').optional(),
    takes: duration('0s', '30d', 'How long it takes.').optional(),
    milestone: filled(
      yesOrNo('Whether its end is told to those who hear of milestones.', {
        default: {
          value: () => false,
          text: 'false',
          reason: 'Few steps are worth the attention of people who have no part in them.',
        },
      }),
    ),
  }),
  'What is done, in this order.',
);

export const scenarios = listOf(
  'scenario',
  z.strictObject({
    name: nameOf('scenario'),
    title: text('What people call it.').optional(),
    probability: choice(degrees, 'How likely it is.'),
    impact: choice(degrees, 'How much harm it does.'),
    strikes: choice(
      ['database', 'application', 'third-party', 'region', 'data'],
      'What it takes away: a server of the database with its disk, what serves the application, somebody on whom the service depends, all that is in one region, or the data themselves, by a change that damages them.',
    ).optional(),
    rto: promise('How long the service may be out.'),
    rpo: promise('How much data may be lost, in time; where data are damaged, counted back from the damage.'),
    method: choice(
      recoveryMethods,
      'What brings the service back. restore: the newest backup. point-in-time: a moment before the damage. failover: a replica. redeploy: the application. other-provider: the newest backup at another provider. provider: whoever runs the service. by-hand: the steps below.',
    ).optional(),
    approach: text('The method in words.').optional(),
    affects: namesFrom('function', 'The functions that it takes away; all of them when left out.').optional(),
    steps,
    drillEvery: duration('1d', '3y', 'The longest time without a drill of it.').optional(),
  }),
  'The disasters that the plan is ready for.',
  { carriedOut: 'no' },
);

/** What is done at moments, and has an end. */
const momentary: ReadonlySet<unknown> = new Set(['full', 'increment', 'dump', 'prune']);

export const schedules = listOf(
  'schedule',
  z
    .strictObject({
      name: nameOf('schedule'),
      job: choice(
        ['full', 'increment', 'wal', 'dump', 'application', 'prune'],
        'What is done: a full backup, an increment, keeping WAL, a logical dump, a copy of what belongs to the application, or deleting what retention lets go.',
      ),
      when: schedule('When it is done.'),
      timeZone: filled(timeZone('The time zone in which a line of cron is read.')),
      cluster: nameFrom('cluster', 'Of which cluster; of each when left out.').optional(),
      tags: orNone(texts('Tags for its snapshots, by which retention may keep them.')),
    })
    .register(groupFacts, {
      check: ({ job, when }) =>
        momentary.has(job) && (when as Schedule).kind === 'continuous'
          ? `Expected a line of cron or an interval, as ${job} is nothing that goes on for ever.`
          : null,
    }),
  'When backups are made. Something else has to run them at these times: cron, or a timer of systemd.',
  { carriedOut: 'no' },
);

export const thresholds = groupOf(
  z.strictObject({
    backupAge: duration(
      '1m',
      '366d',
      'The age of the newest verified full backup above which there is an alarm.',
    ).optional(),
    incrementAge: duration(
      '1m',
      '366d',
      'The age of the newest snapshot of any kind above which there is an alarm.',
    ).optional(),
    walAge: duration(
      '1s',
      '366d',
      'How far what is kept of WAL may be behind the server before there is an alarm.',
    ).optional(),
    replicaLag: duration(
      '1s',
      '366d',
      'How far a replica may be behind before there is an alarm, where it says nothing of its own.',
    ).optional(),
    copyLag: duration(
      '1s',
      '366d',
      'How far a copy of the repository may be behind before there is an alarm.',
    ).optional(),
    storageUsed: percentage('The used share of a store above which there is a warning.').optional(),
    storageLasts: duration(
      '1d',
      '366d',
      'The time until a store is full, by the forecast, below which there is a warning.',
    ).optional(),
  }),
  'From when on somebody has to be told.',
  { carriedOut: 'no' },
);
