import { formatLsn } from '../postgres/index.ts';
import { checksumFailuresOf, readingOf, tagsOf } from '../protect/backup/index.ts';
import type { SnapshotDescription } from '../watch/index.ts';
import { lockDocument } from './lock-text.ts';
import type { Json } from './output/index.ts';

/** A snapshot as `list` and `show` print it. */
export function snapshotDocument({
  record,
  level,
  isDamaged,
  isDoubtful,
  isMisdated,
  onlyIn,
  locks,
  reach,
}: SnapshotDescription): {
  readonly [key: string]: Json;
} {
  const { id, cluster, kind, startedAt, completedAt, tree, stored, wal } = record;
  return {
    snapshot: id,
    ...{ cluster, kind, startedAt, completedAt },
    files: tree.files,
    bytes: tree.bytes,
    newChunks: stored.newChunks,
    newBytes: stored.newBytes,
    storedBytes: stored.storedBytes,
    reading: readingOf(record),
    tags: tagsOf(record),
    level,
    damaged: isDamaged,
    doubtful: isDoubtful,
    misdated: isMisdated,
    onlyIn: onlyIn === null ? null : [...onlyIn.copies],
    checksumFailures: [...checksumFailuresOf(record)],
    wal,
    ...lockDocument(locks),
    restorable:
      reach === null || !reach.isComplete
        ? null
        : { from: wal.end, to: formatLsn(reach.to), timeline: reach.timeline, lineage: wal.lineage },
  };
}
