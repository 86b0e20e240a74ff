/**
 * What stands between the repository and a recovering PostgreSQL: it asks for WAL by file name, and must never mistake a failure for the
 * end of WAL (rule A3).
 *
 * Nouns: the *spool*, a folder in the restored data directory with the files that are ready; the *script*, PostgreSQL's `restore_command`,
 * which takes files from it; the *fetcher*, which brings them ahead of the server; the *plan*, the names of all files that exist for
 * this recovery. It knows nothing of lineages or fragments: what a file holds is handed in.
 */
export { FETCHER_SILENCE_SECONDS_MAX, type Owner, RecoverySpool, syncDirectory } from './recovery-spool.ts';
export { restoreCommand, restoreExit, restoreScript, SPOOL_DIRECTORY, spoolNames } from './restore-script.ts';
export { type FetchLimits, placeAllWal, type ReadWalFile, WalFetcher, type WalFileContent } from './wal-fetcher.ts';
