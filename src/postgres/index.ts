/**
 * PostgreSQL as it is seen over a socket and in a data directory.
 *
 * Nouns: a *target* says where a server is; a *connection* is a conversation with it, for SQL or for replication; an *LSN* is a
 * byte position in the WAL (`bigint`); a *timeline* is a branch of WAL history; a *WAL segment* is one file of it; a *base
 * backup* is a file-level copy that the server sends; an *instance* is a throw-away server on a restored data directory.
 *
 * It does not know where anything is stored, keeps no state of its own, and decides nothing: what a backup is good for, which
 * WAL is kept and when a server is started are other folders' work.
 */
export * from './backup-label.ts';
export * from './backup-manifest.ts';
export * from './connection/index.ts';
export * from './control-file.ts';
export * from './format-backup-manifest.ts';
export * from './instance/index.ts';
export * from './lsn.ts';
export * from './page/index.ts';
export * from './postgres-error.ts';
export * from './quote.ts';
export * from './relation-path.ts';
export * from './replication/index.ts';
export * from './segment-name.ts';
export * from './server-version.ts';
export * from './timeline-history.ts';
export * from './timestamp.ts';
export * from './wal/index.ts';
