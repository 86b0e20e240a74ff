import { z } from 'zod';
import { optionFacts } from '../option.ts';
import { textOrReference } from '../reference.ts';
import {
  choice,
  choices,
  duration,
  filled,
  listOf,
  listWithoutNames,
  nameFrom,
  nameOf,
  namesFrom,
  orNone,
  promise,
  schedule,
  secretReference,
  text,
  texts,
  timeZone,
} from './kinds.ts';

const reachable = (help: string) =>
  textOrReference().register(optionFacts, {
    help,
    expected: 'a text, or { env }, { file } or { command } that give one',
  });

export const contacts = listOf(
  'contact',
  z.strictObject({
    name: nameOf('contact'),
    title: text('The name or the office of this person.').optional(),
    phone: reachable('Telephone number, with the code of the country.').optional(),
    email: reachable('E-mail address.').optional(),
    otherwise: reachable('Any other way to reach this person.').optional(),
    timeZone: filled(timeZone('The time zone in which this person lives.')),
  }),
  'People who can be reached.',
  { carriedOut: 'no' },
);

export const roles = listOf(
  'role',
  z.strictObject({
    name: nameOf('role'),
    title: text('What people call it.').optional(),
    duties: orNone(texts('What whoever has it does.')),
    contact: nameFrom('contact', 'Who has it.').optional(),
    deputy: nameFrom('contact', 'Who has it when the first cannot be reached.').optional(),
  }),
  'The parts that people have in a recovery.',
  { carriedOut: 'no' },
);

export const severities = ['sev-1', 'sev-2', 'sev-3', 'sev-4'] as const;

export const channels = listOf(
  'channel',
  z.strictObject({
    name: nameOf('channel'),
    kind: choice(
      ['slack', 'teams', 'email', 'sms', 'phone', 'pager', 'webhook', 'github-issue', 'status-page'],
      'What carries a message there.',
    ),
    address: reachable('Where messages go: a channel, an address, a number, a repository.'),
    secret: secretReference('What sending there needs: the URL of a webhook, a token, a password.').optional(),
    title: text('The title of what is sent there, where it has one that stays the same.').optional(),
  }),
  'The ways by which messages reach people.',
  { carriedOut: 'no' },
);

export const alarms = [
  'backup-failed',
  'backup-old',
  'wal-behind',
  'wal-gap',
  'damage-found',
  'verification-failed',
  'restore-test-failed',
  'copy-behind',
  'replica-behind',
  'storage-full',
  'probe-red',
  'agent-silent',
  'duty-overdue',
] as const;

export const routes = listOf(
  'route',
  z.strictObject({
    name: nameOf('route'),
    events: orNone(choices(alarms, 'What it carries; every alarm when left out.')),
    severities: orNone(choices(severities, 'From incidents of these degrees only; from all when left out.')),
    channels: namesFrom('channel', 'Where the message goes; to all of them.'),
    otherwise: nameFrom('channel', 'Where it goes when none of them takes it.').optional(),
    escalation: nameFrom('escalation', 'Who is called when nobody acknowledges it.').optional(),
  }),
  'Which alarm goes where.',
  { carriedOut: 'no' },
);

export const escalations = listOf(
  'escalation',
  z.strictObject({
    name: nameOf('escalation'),
    steps: listWithoutNames(
      z.strictObject({
        call: nameFrom(['role', 'contact'], 'Who is called.'),
        after: duration('0s', '7d', 'How long the one before had to acknowledge.').optional(),
      }),
      'Who is called, in this order.',
    ),
  }),
  'Who is called, and who next when nobody answers.',
  { carriedOut: 'no' },
);

export const communication = listOf(
  'message',
  z.strictObject({
    name: nameOf('message'),
    on: choice(
      ['outage-begun', 'detected', 'recovery-begun', 'milestone', 'restored', 'recovery-ended'],
      'What sets its clock going.',
    ),
    audience: text('Who is told.'),
    within: promise('How soon they are told, from that moment on.').optional(),
    every: duration('1m', '7d', 'How often they are told again until it is over.').optional(),
    ifOutFor: promise('Only of an outage that has lasted so long.').optional(),
    ifResolvedEarlier: choice(
      ['tell-at-resolution', 'tell-nothing'],
      'What becomes of it when the service is back before it is due.',
    ).optional(),
    severities: orNone(choices(severities, 'Of incidents of these degrees only; of all when left out.')),
    channels: orNone(namesFrom('channel', 'Where it is told.')),
    role: nameFrom('role', 'Who tells it.').optional(),
    contacts: orNone(namesFrom('contact', 'The people who are told.')),
  }),
  'Who is told of an incident, and by when.',
  { carriedOut: 'no' },
);

export const checklists = listOf(
  'checklist',
  z.strictObject({
    name: nameOf('checklist'),
    title: text('What people call it.').optional(),
    every: choice(['day', 'week', 'month', 'quarter', 'year'], 'How often all of it is gone through.'),
    items: listOf(
      'item',
      z.strictObject({
        name: nameOf('item'),
        does: text('What is done, in a sentence.'),
        role: nameFrom('role', 'Who does it.').optional(),
      }),
      'What stands on it.',
    ),
  }),
  'What people look at again and again.',
  { carriedOut: 'no' },
);

export const drills = listOf(
  'drill',
  z.strictObject({
    name: nameOf('drill'),
    when: schedule('When it is done.'),
    timeZone: filled(timeZone('The time zone in which a line of cron is read.')),
    scope: filled(
      choice(
        ['technical', 'with-people'],
        'Whether machines alone go through it, or the people with their messages and deadlines, too.',
        {
          default: {
            value: () => 'technical',
            text: 'technical',
            reason: 'It costs nobody an afternoon, and so can be done often.',
          },
        },
      ),
    ),
    scenarios: orNone(namesFrom('scenario', 'Of which scenarios, in turn; of all of them when left out.')),
  }),
  'Rehearsals of whole scenarios.',
  { carriedOut: 'no' },
);

export const vendors = listOf(
  'vendor',
  z.strictObject({
    name: nameOf('vendor'),
    service: text('What is bought there.'),
    contact: reachable('How its support is reached in an emergency.').optional(),
    account: reachable('The account, project or team that its support asks for.').optional(),
    supportLevel: text('The level of support that is paid for.').optional(),
    statusPage: text('Where it tells how it is.').optional(),
    rto: promise('How long it may be out, by contract.').optional(),
    rpo: promise('How much it may lose, by contract.').optional(),
  }),
  'Those on whom the service depends.',
  { carriedOut: 'no' },
);
