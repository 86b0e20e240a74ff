import { type PostgresConnection, PostgresError, type QueryResult } from '../../../postgres/index.ts';
import type { FileSetting, Setting } from './configuration.ts';
import { LIST_FILE_SETTINGS } from './grants.ts';

const INSUFFICIENT_PRIVILEGE = '42501';

/** All settings that the role may see, as they are for the session that asks; nothing is set for it, so that they are the server's. Errors: those of the connection. */
export async function readSettings(connection: PostgresConnection): Promise<Setting[]> {
  const rows = await ask(
    connection,
    `SELECT name, setting, unit, source, sourcefile, sourceline::text, boot_val, pending_restart::text
     FROM pg_catalog.pg_settings ORDER BY name COLLATE "C"`,
  );
  return rows.map((row) => ({
    name: row[0]!,
    setting: row[1] ?? null,
    unit: row[2] ?? null,
    source: row[3]!,
    sourceFile: row[4] ?? null,
    sourceLine: row[5] == null ? null : Number(row[5]),
    bootValue: row[6] ?? null,
    pendingRestart: row[7] === 'true',
  }));
}

/** Whether the role sees the settings that only superusers and members of pg_read_all_settings do. */
export async function holdsAllSettings(connection: PostgresConnection): Promise<boolean> {
  const [row] = await ask(
    connection,
    "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')::text",
  );
  return row?.[0] === 'true';
}

/** The server's system identifier, which every role may ask for. */
export async function readSystemId(connection: PostgresConnection): Promise<string | null> {
  const [row] = await ask(connection, 'SELECT system_identifier::text FROM pg_catalog.pg_control_system()');
  return row?.[0] ?? null;
}

/** What the files say, null for a role that may not ask. Errors: those of the connection. */
export async function readFileSettings(connection: PostgresConnection): Promise<FileSetting[] | null> {
  try {
    const rows = await ask(
      connection,
      `SELECT sourcefile, sourceline::text, name, setting, applied::text, error FROM pg_catalog.${LIST_FILE_SETTINGS} ORDER BY seqno`,
    );
    return rows.map((row) => ({
      sourceFile: row[0] ?? null,
      sourceLine: row[1] == null ? null : Number(row[1]),
      name: row[2] ?? null,
      setting: row[3] ?? null,
      applied: row[4] === 'true',
      error: row[5] ?? null,
    }));
  } catch (error) {
    if (error instanceof PostgresError && error.sqlState === INSUFFICIENT_PRIVILEGE) return null;
    throw error;
  }
}

async function ask(connection: PostgresConnection, sql: string): Promise<QueryResult['rows']> {
  return (await connection.query(sql)).at(-1)?.rows ?? [];
}
