import { formatDuration, formatQuantity } from '../../lib/index.ts';
import { advice, type Check, checksOf, quoteIdentifier, quoteLiteral, sql } from './check.ts';
import type { DatabaseFacts, ServerFacts } from './server-facts.ts';

const { ok, unseen, warning } = checksOf('server');

/** A transaction that was prepared is committed within seconds, or was forgotten. */
const PREPARED_AGE_MS_MAX = 60 * 60 * 1000;

/** From this version on a database says with which version of its collation it was made. */
const VERSIONED_LOCALE_MAJOR_MIN = 15;

/** Locales that sort by bytes, whatever becomes of the system's libraries. */
const isFixed = (locale: string) => /^(C|POSIX)(\.|$)/.test(locale);

/** So many are told by name; the rest is counted. */
const NAMES_MAX = 20;

/** Judges what lies in the server and would come back otherwise than it was. Pure. */
export function judgeContents(facts: ServerFacts): Check[] {
  const seen = facts.databases.filter((each) => each.kind === 'seen');
  return [
    judgePrepared(facts),
    judgeUnlogged(seen),
    judgeTablespaces(facts),
    judgeResourceManagers(facts),
    judgeCollations(facts, seen),
    ...facts.databases.flatMap((each) =>
      each.kind === 'seen'
        ? []
        : [unseen('database', `The database "${each.name}" could not be looked into: ${each.why}.`)],
    ),
  ];
}

type SeenDatabase = Extract<DatabaseFacts, { kind: 'seen' }>;

function judgePrepared({ preparedTransactions }: ServerFacts): Check {
  const old = preparedTransactions.filter(({ ageMs }) => ageMs > PREPARED_AGE_MS_MAX);
  const [oldest] = old;
  if (oldest === undefined) return ok('prepared-transactions', 'No prepared transaction is old.');
  const told = old
    .slice(0, NAMES_MAX)
    .map(({ name, database }) => `${quoteLiteral(name)} in ${quoteIdentifier(database)}`);
  return warning('prepared-transactions', `${formatQuantity(old.length, 'prepared transaction')} was left over.`, {
    found: `${told.join(', ')}; the oldest for ${formatDuration(oldest.ageMs)}`,
    expected: 'none',
    why: 'They hold their locks in a restored server, too, and keep VACUUM from its work.',
    mends: [
      advice('Ask its transaction manager which of the two it is to be, in its database.'),
      ...old
        .slice(0, NAMES_MAX)
        .map(({ name }) =>
          advice(`COMMIT PREPARED ${quoteLiteral(name)}; or ROLLBACK PREPARED ${quoteLiteral(name)};`),
        ),
    ],
  });
}

function judgeUnlogged(databases: readonly SeenDatabase[]): Check {
  if (databases.length === 0) return unseen('unlogged-tables', 'No database could be looked into for unlogged tables.');
  const tables = databases.flatMap(({ name, unloggedTables }) =>
    unloggedTables.map((table) => ({ database: name, table })),
  );
  if (tables.length === 0) return ok('unlogged-tables', 'No table is unlogged in the databases that were looked into.');
  const shown = tables.slice(0, NAMES_MAX);
  return warning(
    'unlogged-tables',
    `${formatQuantity(tables.length, 'table')} would come back empty from any restore.`,
    {
      found: shown.map(({ database, table }) => `${table} in ${quoteIdentifier(database)}`).join(', '),
      expected: 'no unlogged table with content that is needed',
      why: 'What is written to an unlogged table is in no WAL and in no base backup.',
      mends: [
        advice('For those whose content matters, in their databases:'),
        ...shown.map(({ table }) => sql(`ALTER TABLE ${table} SET LOGGED;`)),
      ],
    },
  );
}

function judgeTablespaces({ tablespaces }: ServerFacts): Check {
  if (tablespaces.length === 0) return ok('tablespaces', 'All data lies in the data directory.');
  const told = tablespaces.map(({ name, location }) => `${quoteIdentifier(name)} at "${location}"`).join(', ');
  return ok('tablespaces', `Data lies in ${formatQuantity(tablespaces.length, 'tablespace')} as well: ${told}.`);
}

function judgeResourceManagers({ customResourceManagers }: ServerFacts): Check {
  const code = 'resource-managers';
  if (customResourceManagers === null) return unseen(code, 'Which extensions write WAL of their own may not be seen.');
  if (customResourceManagers.length === 0) return ok(code, 'No extension writes WAL of its own kind.');
  return warning(code, 'An extension writes WAL that only its own library can replay.', {
    found: customResourceManagers.join(', '),
    expected: 'the same library wherever this is restored',
    why: 'Without it a restore stops at the first record of that kind.',
    mends: [
      advice(
        'Install the same extension on every host on which restores are to start, and name it in shared_preload_libraries there.',
      ),
    ],
  });
}

function judgeCollations({ locales, version }: ServerFacts, databases: readonly SeenDatabase[]): Check {
  const whole = locales.filter(({ versions }) => versions !== null);
  const single = databases.flatMap(({ name, staleCollations }) =>
    staleCollations.map((collation) => ({ database: name, collation })),
  );
  if (whole.length + single.length === 0) {
    if (version.major < VERSIONED_LOCALE_MAJOR_MIN && locales.some(({ locale }) => !isFixed(locale))) {
      return unseen('collations', 'This version does not record with which collations its databases were made.');
    }
    return ok('collations', 'Collations sort as they did when indexes were made.');
  }
  return warning('collations', 'Collations sort otherwise than when indexes were made.', {
    found: [
      ...whole.map(({ database, versions }) => `${quoteIdentifier(database)}: ${versions?.made}, now ${versions?.now}`),
      ...single.map(({ database, collation }) => `${collation} in ${quoteIdentifier(database)}`),
    ].join('; '),
    expected: 'the versions that indexes were made with',
    why: 'An index on text can miss rows and let duplicates in; a backup keeps it as it is.',
    mends: [
      advice('In each database named, in this order:'),
      ...whole.flatMap(({ database }) => [
        sql(`REINDEX DATABASE ${quoteIdentifier(database)};`),
        sql(`ALTER DATABASE ${quoteIdentifier(database)} REFRESH COLLATION VERSION;`),
      ]),
      ...single.map(({ collation }) => sql(`ALTER COLLATION ${collation} REFRESH VERSION;`)),
    ],
  });
}
