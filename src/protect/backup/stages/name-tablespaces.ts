import { type Clock, HoldfastError } from '../../../lib/index.ts';
import { type ConnectionTarget, connect } from '../../../postgres/index.ts';
import type { ReceivedFiles } from './receive-files.ts';

/** The first number that the server gives to what users make; pg_default and pg_global lie below. */
const USER_OID_MIN = 16384;
/** Every cluster has it unless somebody took pains to drop it. */
const COMMON_DATABASE = 'postgres';

/** Names of the tablespaces that users made, by OID; null when the server could not be asked. */
export type TablespaceNames = ReadonlyMap<number, string> | null;

/** A tablespace of the backup as its snapshot tells it. */
export type KeptTablespace = { readonly oid: number; readonly path: string; readonly name?: string };

/** How the server is asked. */
interface Question {
  source: ConnectionTarget;
  clock: Clock;
}

/** Asks for the tablespaces over SQL. Throws nothing of the server's: a role that may only replicate is told nothing. */
export async function readTablespaceNames({ source, clock }: Question): Promise<TablespaceNames> {
  try {
    const connection = await connect(source, {
      applicationName: 'holdfast_backup_settings',
      clock,
      database: COMMON_DATABASE,
    });
    try {
      const sql = `SELECT oid, spcname FROM pg_catalog.pg_tablespace WHERE oid >= ${USER_OID_MIN}`;
      const [result] = await connection.query(sql);
      return new Map(result!.rows.map(([oid, name]) => [Number(oid), name!]));
    } finally {
      await connection.close();
    }
  } catch (error) {
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

/**
 * Gives the tablespaces of the backup their names, and refuses a backup from which the server has left one out: PostgreSQL 14 and 15 do so,
 * without a word, with one that was made with `allow_in_place_tablespaces`.
 *
 * `before` was read before the backup began. Errors: BACKUP_TABLESPACE_LEFT_OUT.
 */
export async function nameTablespaces(
  options: Question & { before: TablespaceNames; received: Pick<ReceivedFiles, 'start'> },
): Promise<KeptTablespace[]> {
  const { before, received } = options;
  const kept = received.start.tablespaces.flatMap(({ oid, path }) => (oid === null ? [] : [{ oid, path: path ?? '' }]));
  const missing = [...(before ?? [])].filter(([oid]) => !kept.some((one) => one.oid === oid));
  if (missing.length > 0) {
    // What was dropped while the backup ran is rightly not in it.
    const now = await readTablespaceNames(options);
    const leftOut = missing.filter(([oid]) => now === null || now.has(oid));
    if (leftOut.length > 0) throw tablespacesLeftOut(leftOut);
  }
  return kept.map((one) => {
    const name = before?.get(one.oid);
    return name === undefined ? one : { ...one, name };
  });
}

function tablespacesLeftOut(leftOut: readonly (readonly [number, string])[]): HoldfastError {
  const names = leftOut.map(([oid, name]) => `"${name}" (${oid})`).join(', ');
  return new HoldfastError('BACKUP_TABLESPACE_LEFT_OUT', 'cannot keep a backup without all tablespaces', {
    detail: `The server did not send tablespace ${names}. PostgreSQL 14 and 15 leave out those that were made with allow_in_place_tablespaces, a setting for developers.`,
    hints: [
      'Move what lies there to a tablespace with a location of its own (ALTER TABLE … SET TABLESPACE) and drop it, or use PostgreSQL 16 or later.',
    ],
  });
}
