import { HoldfastError, messageOf } from '../../lib/index.ts';
import type { Instance, PostgresConnection } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';

/** A thing in a database, for people. */
export interface FoundInDatabase {
  readonly database: string;
  readonly name: string;
}

/** What was found in a server that has recovered. None of it is the restore's fault; all of it is worth knowing before use. */
export interface InstanceChecks {
  /** Every one of them was connected to. */
  readonly databases: readonly string[];
  /** Indexes that the old server had not finished or had given up. */
  readonly invalidIndexes: readonly FoundInDatabase[];
  /** They hold locks until somebody commits or rolls them back. */
  readonly preparedTransactions: readonly FoundInDatabase[];
  /** Collations whose version is another one here: their indexes may be in the wrong order. */
  readonly collationMismatches: readonly FoundInDatabase[];
  /** Subscriptions that are enabled: a server that is started in the ordinary way goes on with them, and moves their slots on other servers. */
  readonly subscriptions: readonly FoundInDatabase[];
}

const INVALID_INDEXES = `
  SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) ORDER BY 1`;

const PREPARED_TRANSACTIONS = 'SELECT gid, database FROM pg_prepared_xacts ORDER BY prepared';

const COLLATIONS = `
  SELECT format('%I.%I', n.nspname, c.collname)
  FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
  WHERE c.collversion IS NOT NULL AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid) ORDER BY 1`;

const DATABASE_COLLATIONS = `
  SELECT datname FROM pg_database
  WHERE datcollversion IS NOT NULL AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid) ORDER BY 1`;

const SUBSCRIPTIONS = `
  SELECT s.subname, d.datname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE s.subenabled ORDER BY 2, 1`;

const TABLESPACES =
  "SELECT oid, spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid";

/** Our questions mean the system's own tables, whatever search path a role or a database was given. */
const SESSION = { search_path: 'pg_catalog' };

/** With these, a query never takes its answer from an index, whose order another version of a collation may contradict. */
const WITHOUT_INDEX_SCANS = { enable_indexscan: 'off', enable_indexonlyscan: 'off', enable_bitmapscan: 'off' };

/** The one database that every cluster has: "postgres" may have been dropped. */
const GLOBAL_DATABASE = 'template1';

/** Databases have a collation version of their own from this version on. */
const DATABASE_COLLATION_MAJOR_MIN = 15;

/**
 * Looks into a server that says it has recovered: every database can be connected to, it is the right cluster and open for writing, and what
 * a person should know of its contents. Where collations have another version here, index scans are turned off, as they could answer wrongly.
 *
 * Errors: RESTORE_CHECK_FAILED.
 */
export async function checkInstance(instance: Instance, proposal: RestoreProposal): Promise<InstanceChecks> {
  const { snapshot } = proposal;
  const databases = await inDatabase(instance, GLOBAL_DATABASE, async (connection) => {
    const [identity] = await rows(
      connection,
      'SELECT system_identifier::text, pg_is_in_recovery()::text FROM pg_control_system()',
    );
    if (identity?.[0] !== snapshot.system) throw failed(`Expected cluster ${snapshot.system}, found ${identity?.[0]}.`);
    if (identity[1] !== 'false') throw failed('Expected a server that is open for writing, found one in recovery.');
    refuseLostTablespaces(await rows(connection, TABLESPACES), proposal);
    return column(connection, 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY oid');
  });
  const invalidIndexes: FoundInDatabase[] = [];
  const collationMismatches: FoundInDatabase[] = [];
  for (const database of databases) {
    await inDatabase(instance, database, async (connection) => {
      const found = (names: string[]) => names.map((name) => ({ database, name }));
      invalidIndexes.push(...found(await column(connection, INVALID_INDEXES)));
      collationMismatches.push(...found(await column(connection, COLLATIONS)));
    });
  }
  const checks = await inDatabase(instance, GLOBAL_DATABASE, async (connection) => {
    const prepared = await rows(connection, PREPARED_TRANSACTIONS);
    if (snapshot.serverMajor >= DATABASE_COLLATION_MAJOR_MIN) {
      const names = await column(connection, DATABASE_COLLATIONS);
      collationMismatches.push(...names.map((database) => ({ database, name: 'its default collation' })));
    }
    return {
      databases,
      invalidIndexes,
      preparedTransactions: prepared.map(([name, database]) => ({ database: database ?? '', name: name ?? '' })),
      collationMismatches,
      subscriptions: (await rows(connection, SUBSCRIPTIONS)).map(([name, database]) => ({
        database: database ?? '',
        name: name ?? '',
      })),
    };
  });
  if (collationMismatches.length > 0) await instance.configure(WITHOUT_INDEX_SCANS);
  return checks;
}

/**
 * Each tablespace must have come from the backup or from the WAL. Servers before version 16 leave those that lie in the data directory itself
 * out of base backups without a word; then its tables are there by name, and their files are not.
 */
function refuseLostTablespaces(found: readonly (readonly (string | null)[])[], proposal: RestoreProposal): void {
  const { snapshot, survey } = proposal;
  const known = new Set([...snapshot.tablespaces, ...survey.tablespaces].map(({ oid }) => String(oid)));
  const lost = found.filter(([oid]) => !known.has(oid ?? ''));
  if (lost.length === 0) return;
  const names = lost.map(([oid, name]) => `"${name}" (${oid})`).join(', ');
  throw failed(`Expected the files of every tablespace in the backup or the WAL, found none of ${names}.`);
}

async function inDatabase<Value>(
  instance: Instance,
  database: string,
  act: (connection: PostgresConnection) => Promise<Value>,
): Promise<Value> {
  let connection: PostgresConnection;
  try {
    connection = await instance.connect({ database, settings: SESSION });
  } catch (error) {
    throw failed(`Expected to connect to database "${database}": ${messageOf(error)}.`, error);
  }
  try {
    return await act(connection);
  } finally {
    await connection.close();
  }
}

async function rows(connection: PostgresConnection, sql: string): Promise<readonly (readonly (string | null)[])[]> {
  return (await connection.query(sql)).at(-1)?.rows ?? [];
}

async function column(connection: PostgresConnection, sql: string): Promise<string[]> {
  return (await rows(connection, sql)).map(([value]) => value ?? '');
}

function failed(detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError('RESTORE_CHECK_FAILED', 'restored server did not pass its check', {
    detail,
    ...(cause === undefined ? {} : { cause }),
  });
}
