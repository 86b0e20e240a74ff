/**
 * Which entries of a data directory belong to no backup: PostgreSQL removes or makes them anew when it starts.
 *
 * Source: PostgreSQL 14 to 18, basebackup.c, sendDir, excludeDirContents and excludeFiles; a name counts wherever it stands.
 */

/** Kept as directories, empty. */
const EMPTIED_DIRECTORIES: ReadonlySet<string> = new Set([
  ...['pg_stat_tmp', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_subtrans'],
]);

const LEFT_OUT_FILES: ReadonlySet<string> = new Set([
  ...['postgresql.auto.conf.tmp', 'current_logfiles.tmp', 'backup_label', 'tablespace_map', 'backup_manifest'],
  ...['postmaster.pid', 'postmaster.opts', '.DS_Store'],
]);

const LEFT_OUT_PREFIX = /^(pgsql_tmp|pg_internal\.init)/;

const RELATION_FILE = /^([0-9]+)(_fsm|_vm|_init)?(\.[0-9]+)?$/;
const TEMPORARY_RELATION = /^t[0-9]+_[0-9]+(_fsm|_vm|_init)?(\.[0-9]+)?$/;
const INIT_FORK = /^([0-9]+)_init$/;

/** Whether the directory is kept, and nothing that is in it. */
export function isEmptied(name: string): boolean {
  return EMPTIED_DIRECTORIES.has(name);
}

/** Whether an entry of this name is left out, in whatever directory. */
export function isLeftOut(name: string): boolean {
  return LEFT_OUT_FILES.has(name) || LEFT_OUT_PREFIX.test(name);
}

/** The number of the unlogged relation whose init fork a file of this name is; null for any other file. */
export function unloggedRelationOf(name: string): string | null {
  return INIT_FORK.exec(name)?.[1] ?? null;
}

/** Whether a file in the directory of a database is of a temporary relation, or of an unlogged one and not its init fork. */
export function isVolatileRelation(name: string, unlogged: ReadonlySet<string>): boolean {
  if (TEMPORARY_RELATION.test(name)) return true;
  const match = RELATION_FILE.exec(name);
  return match !== null && match[2] !== '_init' && unlogged.has(match[1]!);
}
