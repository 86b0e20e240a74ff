/**
 * The repository's records of completed backups.
 *
 * Nouns. *Snapshot*: the record of one completed backup. *Pending*: the same record, written before it is known that all it needs is durable; it
 * is never listed and only protects its chunks from a pruner. *Committed*: listed, and complete in itself. *Withdrawn*: pending, and can never be committed
 * any more. *Forgotten*: dropped with intent, which is recorded.
 *
 * What a backup is made of is not known here: the server's part of a snapshot is plain JSON.
 */
export * from './forgotten.ts';
export * from './snapshot-list.ts';
export * from './snapshot-record.ts';
export * from './withdraw-snapshot.ts';
export * from './write-snapshot.ts';
