import type { InvalidatedRelation, RelationFile, Timestamp } from '../postgres/index.ts';
import { fullXidNear, type WalLandmark } from '../protect/wal/index.ts';

/** One line of the list. */
export type Moment = { readonly lsn: bigint; readonly at: Timestamp | null } & (
  | {
      readonly kind: 'commit';
      readonly xid: number;
      /** With its epoch; null where no checkpoint near it tells that. */
      readonly fullXid: bigint | null;
      readonly wasPrepared: boolean;
      /** Null where the record does not say. */
      readonly databaseOid: number | null;
      readonly subtransactions: number;
      /** Dropped, truncated, rewritten: the WAL does not say which, and knows no names. */
      readonly removedFiles: readonly RelationFile[];
      readonly changedRelations: readonly InvalidatedRelation[];
    }
  | { readonly kind: 'prepared'; readonly xid: number; readonly name: string; readonly databaseOid: number }
  | { readonly kind: 'restore-point'; readonly name: string }
  | { readonly kind: 'timeline'; readonly timeline: number }
  | { readonly kind: 'database-dropped'; readonly databaseOid: number }
  /** WAL that is not stored, from `lsn` to `end`. */
  | { readonly kind: 'gap'; readonly end: bigint }
);

/** The moment that a landmark is; null for those that nobody restores to. `nextXid` is a full number of about the same time. */
export function momentOf(landmark: WalLandmark, nextXid: bigint | null): Moment | null {
  const { lsn } = landmark;
  switch (landmark.kind) {
    case 'transaction': {
      const { outcome, xid, at, wasPrepared, databaseOid, subtransactions, removedFiles } = landmark.transaction;
      if (outcome !== 'commit') return null;
      const fullXid = nextXid === null ? null : fullXidNear(xid, nextXid);
      const changedRelations = landmark.transaction.invalidatedRelations;
      const what = { wasPrepared, databaseOid, subtransactions, removedFiles, changedRelations };
      return { kind: 'commit', lsn, at, xid, fullXid, ...what };
    }
    case 'prepared': {
      const { xid, name, databaseOid, at } = landmark.prepared;
      return { kind: 'prepared', lsn, at, xid, name, databaseOid };
    }
    case 'storage':
      if (landmark.storage.kind !== 'database-dropped') return null;
      return { kind: 'database-dropped', lsn, at: null, databaseOid: landmark.storage.databaseOid };
    case 'event':
      if (landmark.event.kind === 'restore-point') {
        return { kind: 'restore-point', lsn, at: landmark.event.at, name: landmark.event.name };
      }
      if (landmark.event.kind === 'end-of-recovery') {
        return { kind: 'timeline', lsn, at: landmark.event.at, timeline: landmark.event.timeline };
      }
      return null;
  }
}
