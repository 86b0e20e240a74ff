import { z } from 'zod';
import { toBytes } from '../amounts.ts';
import { groupFacts, optionFacts } from '../option.ts';
import { textOrReference } from '../reference.ts';
import {
  choice,
  duration,
  filled,
  groupIfGiven,
  groupOf,
  listOf,
  nameFrom,
  nameOf,
  orNone,
  schedule,
  secretReference,
  text,
  texts,
  timeZone,
} from './kinds.ts';

const statusMin = 100;
const statusMax = 599;

export const probes = listOf(
  'probe',
  z
    .strictObject({
      name: nameOf('probe'),
      url: textOrReference()
        .register(optionFacts, {
          help: 'An address that is asked over HTTP.',
          expected: 'a URL, or { env }, { file } or { command } that give one',
        })
        .optional(),
      query: text('A statement of SQL that has to give a row.').optional(),
      command: text('A command that has to end with 0.').optional(),
      method: filled(
        choice(['GET', 'HEAD', 'POST'], 'How the address is asked.', {
          default: { value: () => 'GET', text: 'GET', reason: 'It changes nothing.' },
        }),
      ),
      expectStatus: filled(
        z
          .array(z.number().int().min(statusMin).max(statusMax))
          .min(1)
          .register(optionFacts, {
            help: 'The codes of status that count as green.',
            expected: `a list of numbers from ${statusMin} to ${statusMax}`,
            default: {
              value: () => [200],
              text: '200',
              reason: 'Everything else is a page that says why there is none.',
            },
          }),
      ),
      expectText: text('What the answer has to contain.').optional(),
      token: secretReference('The token that is sent along, as a bearer.').optional(),
      cluster: nameFrom(
        'cluster',
        'The cluster that a query is put to; the only one of the plan when left out.',
      ).optional(),
      writes: filled(
        z.boolean().register(optionFacts, {
          help: 'Whether it writes, so that green means that writes are taken.',
          expected: 'true or false',
          default: {
            value: () => false,
            text: 'false',
            reason: 'A probe that writes leaves something behind and has to be made for it.',
          },
        }),
      ),
      every: filled(
        duration('1s', '1d', 'How often it is asked.', {
          default: { value: () => '30s', text: '30s', reason: 'Three in a row tell an outage within two minutes.' },
        }),
      ),
      timeout: filled(
        duration('100ms', '10m', 'How long it may take.', {
          default: { value: () => '10s', text: '10s', reason: 'Longer than anybody waits for a page.' },
        }),
      ),
    })
    .register(groupFacts, { check: whyNotOneTarget }),
  'What is asked to see whether a function works.',
  { carriedOut: 'no' },
);

const byteBudget = (help: string) =>
  z
    .union([z.number(), z.string().transform(toBytes)])
    .pipe(z.number().int().min(1))
    .register(optionFacts, { help, expected: 'bytes, such as 50GiB' });

export const verification = groupOf(
  z.strictObject({
    scrub: groupIfGiven(
      z.strictObject({
        when: schedule('When stored objects are read again.'),
        timeZone: filled(timeZone('The time zone in which a line of cron is read.')),
        newWithin: filled(
          duration('1m', '30d', 'By when every new object was read once.', {
            default: {
              value: () => '1h',
              text: '1h',
              reason: 'What was stored wrongly is then made anew from a server that still has it.',
            },
          }),
        ),
        period: filled(
          duration('1d', '366d', 'In what time every object is read once.', {
            default: {
              value: () => '30d',
              text: '30d',
              reason: 'A month of reading costs little, and damage is found while copies are whole.',
            },
          }),
        ),
        maxTime: duration('1m', '7d', 'The most time that one run takes.').optional(),
        maxBytes: byteBudget('The most that one run reads.').optional(),
        maxCost: z
          .number()
          .gt(0)
          .register(optionFacts, {
            help: 'The most that the reading of one month may cost, in the currency of the bill.',
            expected: 'a number above 0',
          })
          .optional(),
      }),
      'Reading what is stored, and comparing it with its checksums.',
    ),
    restoreTests: listOf(
      'restore test',
      z.strictObject({
        name: nameOf('restore test'),
        title: text('What people call it.').optional(),
        when: schedule('When it is done.'),
        timeZone: filled(timeZone('The time zone in which a line of cron is read.')),
        depth: filled(
          choice(
            ['newest', 'random-moment', 'all'],
            'What is restored and checked: the newest snapshot; a random moment of the window, with the probes of the application; every snapshot once in turn.',
            { default: { value: () => 'newest', text: 'newest', reason: 'It is what a recovery would use first.' } },
          ),
        ),
        cluster: nameFrom('cluster', 'Of which cluster; of each when left out.').optional(),
      }),
      'Restores into a place of their own, with checks of what came back.',
    ),
    invariants: listOf(
      'invariant',
      z.strictObject({
        name: nameOf('invariant'),
        query: text('A statement of SQL that gives no row in a sound database.'),
        cluster: nameFrom('cluster', 'Of which cluster; the only one of the plan when left out.').optional(),
      }),
      'What has to be so in every state of a database.',
    ),
  }),
  'How what is kept is proven to be of use.',
  { carriedOut: 'no' },
);

const repository = z.strictObject({
  name: nameOf('git repository'),
  url: textOrReference().register(optionFacts, {
    help: 'Where it is cloned from.',
    expected: 'an address of git, or { env }, { file } or { command } that give one',
  }),
  token: secretReference('What opens it; for reading only is enough.').optional(),
  mirrorLag: duration('0s', '30d', 'How far any mirror of it may be behind.').optional(),
  protectedBranches: orNone(
    texts('Branches whose rules are read, and whose loss of rules is an alarm. A pattern with * stands for several.'),
  ),
  mirrors: listOf(
    'mirror',
    z.strictObject({
      name: nameOf('mirror'),
      url: textOrReference().register(optionFacts, {
        help: 'Where it is pushed to.',
        expected: 'an address of git, or { env }, { file } or { command } that give one',
      }),
      token: secretReference('What opens it for writing.').optional(),
      when: schedule('When it is brought up to date.'),
      timeZone: filled(timeZone('The time zone in which a line of cron is read.')),
    }),
    'Further places that have all of its branches and tags.',
  ),
  bundle: schedule('When all of it is packed into one file of the repository of backups.').optional(),
});

export const application = groupOf(
  z.strictObject({
    configuration: orNone(
      texts('Files and folders that are kept, from the folder of the plan on. A pattern with * stands for several.'),
    ),
    secrets: listOf(
      'secret',
      z.strictObject({
        name: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
          .register(optionFacts, {
            help: 'Name of the variable that the application reads.',
            expected: 'letters, digits and underscores, not beginning with a digit',
          }),
        value: secretReference('Where its value is read, to be kept encrypted.'),
      }),
      'What the application is told in secret: kept encrypted, so that an empty project can be filled again.',
    ),
    repositories: listOf('git repository', repository, 'The code, with its mirrors.'),
    deployments: listOf(
      'deployment',
      z.strictObject({
        name: nameOf('deployment'),
        provider: choice(['vercel', 'other'], 'Who runs it.'),
        project: text('The project, as its provider calls it.').optional(),
        url: text('Where it is served.').optional(),
        repository: nameFrom('git repository', 'The code that it is built of.').optional(),
        token: secretReference('What reads its settings; for reading only is enough.').optional(),
        when: schedule('When its settings are read and kept. Nothing is ever deployed by that.').optional(),
        failover: choice(['automatic', 'by-hand'], 'Who puts another deployment in its place.').optional(),
        dns: texts('The names in the DNS that lead to it.').optional(),
      }),
      'Where the application runs.',
    ),
  }),
  'What belongs to the application besides its database.',
  { carriedOut: 'no' },
);

function whyNotOneTarget({ url, query, command }: Readonly<Record<string, unknown>>): string | null {
  const given = [url, query, command].filter((target) => target !== null).length;
  return given === 1 ? null : `Expected one of url, query and command, found ${given === 0 ? 'none' : given}.`;
}
