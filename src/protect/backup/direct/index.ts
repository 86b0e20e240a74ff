/**
 * The files of a running server, read from its disk by ourselves between `pg_backup_start` and `pg_backup_stop`. `docs/direct.md` tells it all.
 *
 * Nouns. *Session*: the SQL connection that holds the server in backup mode, and whose end ends it. *Reader*: a thread that reads files into slabs of the
 * ingest pipeline and checks their pages on the way. *Finding*: a page that cannot be as the server wrote it.
 *
 * It takes nothing over the replication protocol, stores nothing itself, and does not decide whether a backup is kept.
 */
export { sessionLost } from './direct-error.ts';
export { DirectSession, functionsOfDirect, type StoppedBackup } from './direct-session.ts';
export { FileReaders, type NumberedFile } from './file-readers.ts';
export {
  type FilesView,
  type ListedEntry,
  type ListedTablespace,
  listFiles,
  listTablespaces,
  MTIME_UNIT_MS,
} from './list-files.ts';
export { PageFindings } from './page-findings.ts';
export { proveDirectory, proveTablespace } from './prove-directory.ts';
export type { FilledSlab, ReadStep } from './read-messages.ts';
