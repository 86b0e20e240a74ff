import { z } from 'zod';
import { groupFacts, optionFacts } from '../option.ts';
import { textOrReference } from '../reference.ts';
import { choice, choices, filled, listOf, nameFrom, nameOf, orNone, promise, text, texts, yesOrNo } from './kinds.ts';

/** `holdfast_` and the name must fit the 63 bytes that PostgreSQL gives to the name of a replication slot. */
const clusterNameLengthMax = 54;
const clusterNameExpected = `1 to ${clusterNameLengthMax} lower-case letters, digits and underscores, as in a slot's name`;
const clusterNameText = () => z.string().regex(new RegExp(`^[a-z0-9_]{1,${clusterNameLengthMax}}$`));

const connection = () =>
  textOrReference().refine((value) => typeof value !== 'string' || !holdsPassword(value), { abort: true });
const connectionFacts = {
  help: 'How to reach the server: a URL or key words as libpq takes them; the role needs REPLICATION.',
  expected:
    'a connection string without a password (which belongs into DATABASE_URL or PGPASSWORD), or { env }, { file } or { command } that give one, with or without',
  secret: true,
};

/** The cluster that one command is about, as flags and variables name it. */
export const chosenName = clusterNameText().register(optionFacts, {
  help: 'Which cluster, by its name. Left out it is the only one of the plan, or else of the repository; in a new repository it is called main.',
  expected: clusterNameExpected,
  flag: '--cluster <name>',
  environment: [{ name: 'HOLDFAST_CLUSTER', as: 'value' }],
  inPlan: 'clusters[].name',
});

export const chosenConnection = connection().register(optionFacts, {
  ...connectionFacts,
  flag: '--database <connection>',
  environment: [{ name: 'DATABASE_URL', as: 'reference' }],
  inPlan: 'clusters[].connection',
});

/** What stands in no plan, but only on a command line and in the environment. */
export const chosenSchema = z.strictObject({
  cluster: z.strictObject({ name: chosenName.optional(), connection: chosenConnection.optional() }),
});

/** Where a server runs, which sets limits to what can be done with it. */
export const databaseProviders = ['self-hosted', 'neon', 'supabase', 'heroku', 'rds', 'vercel'] as const;

export const clusters = listOf(
  'cluster',
  z.strictObject({
    name: clusterNameText().register(optionFacts, {
      help: 'Name of the cluster in the repository, in its replication slot and in application_name.',
      expected: clusterNameExpected,
    }),
    connection: connection().register(optionFacts, connectionFacts).optional(),
    providers: orNone(
      choices(
        databaseProviders,
        'Where the server runs; several while that is not settled, and the weakest of them counts.',
        {
          carriedOut: 'no',
        },
      ),
    ),
    region: text('The region that it runs in, in the words of whoever runs it.', { carriedOut: 'no' }).optional(),
    failover: choice(
      ['automatic', 'by-hand', 'provider'],
      'Who makes a replica the primary when the primary is lost.',
      {
        carriedOut: 'no',
      },
    ).optional(),
    settings: z
      .record(z.string().min(1), z.union([z.string(), z.number(), z.boolean()]))
      .register(optionFacts, {
        help: "Settings that the plan asks of the server, by PostgreSQL's names.",
        expected: 'an object with a text, a number, true or false for each setting',
        carriedOut: 'no',
      })
      .optional(),
  }),
  'The PostgreSQL clusters that are protected. Where there are several, a command that needs one of them asks for its name.',
);

/** What was called so while a plan had room for one. */
export const clusterRenamed = { to: 'clusters', before: '{ … }', now: '[{ … }]' };

export const dataSets = listOf(
  'data set',
  z.strictObject({
    name: nameOf('data set'),
    title: text('What people call it.').optional(),
    kind: filled(
      choice(['database', 'configuration', 'code', 'files'], 'What it is made of.', {
        default: { value: () => 'database', text: 'database', reason: 'It is what most data sets lie in.' },
      }),
    ),
    cluster: nameFrom('cluster', 'The cluster that it lies in, where it lies in one.').optional(),
    tables: texts(
      'Its tables, each with its schema where that is not public; all of its cluster when left out.',
    ).optional(),
    maxLoss: promise('How much of it may be lost, in time, when one server is lost with its disk.').optional(),
  }),
  'What is to be protected, apart from where it lies: each with the loss that it bears.',
  { carriedOut: 'no' },
);

export const replicas = listOf(
  'replica',
  z
    .strictObject({
      name: nameOf('replica'),
      cluster: nameFrom('cluster', 'The cluster that it follows; the only one of the plan when left out.').optional(),
      region: text('The region that it runs in.').optional(),
      purpose: text('What it is for.').optional(),
      mode: choice(['synchronous', 'asynchronous'], 'Whether a commit waits for it.'),
      whenAway: choice(
        ['block', 'degrade'],
        'What happens to commits while a synchronous replica is away: they wait, or they no longer wait for it and an alarm says that loss is possible.',
      ).optional(),
      maxLag: promise('How far behind it may be before there is an alarm.').optional(),
      mayBePrimary: filled(
        yesOrNo('Whether it may become the primary.', {
          default: {
            value: () => true,
            text: 'true',
            reason: 'A replica that must never be promoted is the exception, and is said to be one.',
          },
        }),
      ),
    })
    .register(groupFacts, {
      check: ({ mode, whenAway }) =>
        mode === 'asynchronous' && whenAway !== null
          ? 'Expected whenAway of a synchronous replica only, as no commit waits for this one.'
          : null,
    }),
  'Servers that follow a cluster.',
  { carriedOut: 'no' },
);

/** True for a password in a URL's user part, also of one inside key words, among its parameters, or as a key word. */
function holdsPassword(connection: string): boolean {
  return (
    /(^|['\s=])[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/]*@/i.test(connection) ||
    /[?&](ssl)?password=/i.test(connection) ||
    /(^|\s)(ssl)?password\s*=/i.test(connection)
  );
}
