import { quoteIdentifier } from '../../../postgres/index.ts';

/** Reads bytes of a file of the server, from an offset on; null when it is missing. The same from 14 to 18. */
export const READ_FILE = 'pg_read_binary_file(text, bigint, bigint, boolean)';
/** Lists a directory of the server. */
export const LIST_DIRECTORY = 'pg_ls_dir(text, boolean, boolean)';
/** Gives what the files of settings say. */
export const LIST_FILE_SETTINGS = 'pg_show_all_file_settings()';

/**
 * What a superuser has to run so that `role` can keep all of the configuration, in order. Rights on functions hold in one database only, so these
 * statements belong into `database`.
 *
 * The role of a backup can read every data file already; with this it can read every file that the server can.
 */
export function configurationGrants(role: string, database: string): string[] {
  return [settingsGrant(role), ...fileGrants(role, database)];
}

/** So that every setting is seen, and the file that it comes from. */
export function settingsGrant(role: string): string {
  return `GRANT pg_monitor TO ${quoteIdentifier(role)};`;
}

/** So that files outside the data directory can be read. */
export function fileGrants(role: string, database: string): string[] {
  const name = quoteIdentifier(role);
  return [
    `\\connect ${quoteIdentifier(database)}`,
    `GRANT pg_read_server_files TO ${name};`,
    `GRANT EXECUTE ON FUNCTION ${READ_FILE}, ${LIST_DIRECTORY}, ${LIST_FILE_SETTINGS} TO ${name};`,
  ];
}
