import type { Clock } from '../../../lib/index.ts';
import { type ConnectionTarget, connect, type PostgresConnection, PostgresError } from '../../../postgres/index.ts';
import { functionsOfDirect } from '../../../protect/backup/direct/index.ts';
import { type Mend, quoteIdentifier, quoteLiteral, sql } from '../check.ts';
import { ask } from '../gather-server.ts';

/** Where a direct read goes when the database of the connection is not there. */
const COMMON_DATABASE = 'postgres';
const UNDEFINED_DATABASE = '3D000';

/** What `holdfast backup --direct` would find, besides what every backup needs (`docs/direct.md`). */
export interface DirectRights {
  readonly role: string;
  /** Rights on functions hold in one database only: the one to which direct reads connect. */
  readonly database: string;
  readonly functions: readonly string[];
  readonly mayExecute: boolean;
  /** True also of a role that the same set-up makes a member of pg_monitor. */
  readonly mayMonitor: boolean;
}

/** What is granted for direct reads. */
export interface DirectStep {
  readonly role: string;
  readonly database: string;
  readonly statements: readonly string[];
  readonly undo: readonly string[];
}

/** Where direct reads are asked about, and for whom. */
export interface DirectOptions {
  /** A superuser's connection, of which the database does not count. */
  readonly administrator: ConnectionTarget;
  /** The connection that backups will use. */
  readonly source: ConnectionTarget;
  readonly clock: Clock;
}

/** `role`: the one that the set-up makes; `null`: the one that connects. Errors: those of `connect` and of the server. */
export async function readDirectRights(
  { administrator, source, clock }: DirectOptions,
  role: string | null,
): Promise<DirectRights> {
  const { connection, database } = await connectForDirect(administrator, source.database, clock);
  try {
    const functions = functionsOfDirect(connection.serverVersion.major);
    const allowed = functions.map(
      (name) => `has_function_privilege(oid, ${quoteLiteral(`pg_catalog.${name}`)}, 'EXECUTE')`,
    );
    const name = role ?? source.user;
    const [row] = await ask(
      connection,
      `SELECT ${allowed.join(' AND ')} AS executes, pg_has_role(oid, 'pg_monitor', 'USAGE') AS monitors
         FROM pg_roles WHERE rolname = ${quoteLiteral(name)}`,
    );
    const mayMonitor = role !== null || row?.monitors === 't';
    return { role: name, database, functions, mayExecute: row?.executes === 't', mayMonitor };
  } finally {
    await connection.close();
  }
}

/** Pure. `null` when nothing is missing. */
export function proposeDirect({ database, functions, mayExecute, mayMonitor, role }: DirectRights): DirectStep | null {
  const name = quoteIdentifier(role);
  const rights = [
    ...(mayMonitor ? [] : ['pg_monitor']),
    ...(mayExecute ? [] : [`EXECUTE ON FUNCTION ${functions.join(', ')}`]),
  ];
  if (rights.length === 0) return null;
  return {
    ...{ role, database },
    statements: rights.map((right) => `GRANT ${right} TO ${name};`),
    undo: rights.map((right) => `REVOKE ${right} FROM ${name};`),
  };
}

/** Errors: as `readDirectRights`. */
export async function applyDirect(
  { administrator, clock }: DirectOptions,
  { database, statements }: DirectStep,
): Promise<void> {
  const { connection } = await connectForDirect(administrator, database, clock);
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    await connection.close();
  }
}

/** As psql takes them, whatever database it is in. */
export function statementsIn(database: string, statements: readonly string[]): string[] {
  return [`\\connect ${quoteIdentifier(database)}`, ...statements];
}

export function undoOf({ database, undo }: DirectStep): Mend[] {
  return statementsIn(database, undo).map(sql);
}

/** As `DirectSession` finds its database. */
async function connectForDirect(
  administrator: ConnectionTarget,
  database: string,
  clock: Clock,
): Promise<{ connection: PostgresConnection; database: string }> {
  const common = { clock, applicationName: 'holdfast_setup' };
  try {
    return { connection: await connect(administrator, { ...common, database }), database };
  } catch (error) {
    if (!(error instanceof PostgresError) || error.sqlState !== UNDEFINED_DATABASE) throw error;
    return {
      connection: await connect(administrator, { ...common, database: COMMON_DATABASE }),
      database: COMMON_DATABASE,
    };
  }
}
