import { formatLsn, formatTimestamp } from '../../postgres/index.ts';
import type { WalLandmark } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { landmarksOf, type RecordPlace } from '../wal-records.ts';
import type { WalRoute } from '../wal-route.ts';

/** So many files are named; the others are only counted. */
const FILES_SHOWN_MAX = 3;

/** What the record at a position is, in words that can stand behind "is"; of most records nothing more is known than their place. */
export async function describeRecord(repository: Repository, route: WalRoute, place: RecordPlace): Promise<string> {
  for await (const landmark of landmarksOf(repository, route).read({ from: place.lsn, to: place.endLsn })) {
    if (landmark.lsn === place.lsn) return describeLandmark(landmark);
  }
  return `the record at ${formatLsn(place.lsn)}, which ends no transaction`;
}

/** A landmark in words, with its place. */
export function describeLandmark(landmark: WalLandmark): string {
  return `${nameLandmark(landmark)} at ${formatLsn(landmark.lsn)}`;
}

function nameLandmark(landmark: WalLandmark): string {
  switch (landmark.kind) {
    case 'transaction': {
      const { outcome, wasPrepared, xid, at, removedFiles } = landmark.transaction;
      const what = outcome === 'commit' ? 'commit' : 'rollback';
      const files = removedFiles.length === 0 ? '' : `, which removed ${describeFiles(removedFiles)},`;
      return `the ${what} of ${wasPrepared ? 'the prepared ' : ''}transaction ${xid} of ${formatTimestamp(at)}${files}`;
    }
    case 'prepared':
      return `the preparation of transaction ${landmark.prepared.xid} as "${landmark.prepared.name}"`;
    case 'storage':
      return {
        'database-created': 'the creation of a database',
        'database-dropped': 'the removal of a database',
        'tablespace-created': 'the creation of a tablespace',
        'tablespace-dropped': 'the removal of a tablespace',
      }[landmark.storage.kind];
    case 'event':
      return nameEvent(landmark.event);
  }
}

function nameEvent(event: Extract<WalLandmark, { kind: 'event' }>['event']): string {
  switch (event.kind) {
    case 'restore-point':
      return `the restore point "${event.name}" of ${formatTimestamp(event.at)}`;
    case 'checkpoint':
      return event.isShutdown ? 'the checkpoint of a server that was shut down' : 'a checkpoint';
    case 'end-of-recovery':
      return `the beginning of timeline ${event.timeline}`;
    case 'backup-end':
      return 'the end of a base backup';
    case 'parameter-change':
      return 'a change of settings';
    case 'switch':
      return 'a switch to the next segment';
  }
}

function describeFiles(files: readonly { databaseOid: number; relationNumber: number }[]): string {
  const shown = files.slice(0, FILES_SHOWN_MAX).map((file) => `${file.databaseOid}/${file.relationNumber}`);
  const more = files.length > shown.length ? ` and ${files.length - shown.length} more` : '';
  return `${files.length === 1 ? 'file' : 'files'} ${shown.join(', ')}${more}`;
}
