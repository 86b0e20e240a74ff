/**
 * Who is measured: pgBackRest as the one to beat, PostgreSQL's own programs beside it, and ours. Each knows how it is prepared, run and weighed;
 * none of them measures anything.
 */
export { ClientTools } from './client-tools.ts';
export { giveToPeerUser, measureDirectoryBytes, measureTables } from './directories.ts';
export { type BackupManner, benchCluster, Holdfast } from './holdfast.ts';
export { packHoldfast, sharePackage } from './packed-holdfast.ts';
export { Pgbackrest } from './pgbackrest.ts';
