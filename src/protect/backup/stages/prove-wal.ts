import { HoldfastError } from '../../../lib/index.ts';
import { formatLsn, segmentStartOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { scanWal, type WalInventory } from '../../wal/index.ts';

/** The record with which a backup ends has 34 bytes, and over the border of a segment a page header in between. */
const END_RECORD_BYTES_MAX = 128n;

/** The WAL of a backup. */
export interface BackupWal {
  readonly system: string;
  readonly lineage: string;
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Proves that the stored WAL is that of the server from which the files came (rules A4, A13).
 *
 * Whoever brought it may have streamed from another server with the same system identifier and the same positions: the original of a copy, or the
 * other way round. Files of the one under the WAL of the other would be restored without a complaint, and be wrong. The server writes a record
 * when a backup ends, at its last position and with its first: only its own WAL has that record there.
 *
 * Errors: BACKUP_WAL_FOREIGN; WAL_RECORD_UNREADABLE, OBJECT_DAMAGED; those of the store.
 */
export async function proveWal(repository: Repository, inventory: WalInventory, wal: BackupWal): Promise<void> {
  const { lineage, timeline, start, end } = wal;
  const segmentBytes = inventory.lineages.find((known) => known.lineage === lineage)?.header.segmentBytes;
  const near = end > END_RECORD_BYTES_MAX ? end - END_RECORD_BYTES_MAX : 0n;
  const from = segmentBytes === undefined ? start : segmentStartOf(near, segmentBytes);
  const range = { lineage, timeline, from: maxLsn(from, start), to: end };
  for await (const landmark of scanWal(repository, inventory, range)) {
    if (landmark.kind !== 'event' || landmark.event.kind !== 'backup-end') continue;
    if (landmark.event.startLsn === start && landmark.endLsn === end) return;
  }
  throw foreignWal(wal, 'WAL without the record that ended the backup');
}

/** The error for WAL that another server wrote; `found` completes "found …". */
export function foreignWal(wal: BackupWal, found: string): HoldfastError {
  return new HoldfastError('BACKUP_WAL_FOREIGN', 'cannot list the backup: the stored WAL is not that of its server', {
    detail: `Expected the WAL of the server that was backed up from ${formatLsn(wal.start)} to ${formatLsn(wal.end)}, found ${found}.`,
    hints: [
      'Check whether `holdfast wal stream` and `holdfast backup` reach the same server: a copy of a cluster has the same system identifier.',
      'Give a copy a cluster name of its own.',
    ],
  });
}

function maxLsn(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
