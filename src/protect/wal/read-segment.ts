import { HoldfastError } from '../../lib/index.ts';
import { formatHistoryName, formatSegmentName } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { findLineage, type WalInventory } from './inventory.ts';
import { StoredWal } from './stored-wal.ts';
import { pathInLineage } from './timeline-path.ts';

/** A segment of the history that ends with `timeline`. */
export interface SegmentReference {
  readonly lineage: string;
  /** The last timeline of the chosen history, which need not be the segment's own. */
  readonly timeline: number;
  /** Counted from LSN 0. */
  readonly segmentNumber: bigint;
}

/** A segment as PostgreSQL is to see it. */
export interface SegmentContent {
  /** The name under which PostgreSQL asks for it on this history. */
  readonly name: string;
  /** As long as a segment is; zeros behind `validUntil`. */
  readonly bytes: Buffer;
  /** Where the WAL that is known ends. */
  readonly validUntil: bigint;
  /** True when it is all there. */
  readonly whole: boolean;
}

/**
 * Reads a segment of a chosen history, whole or as far as it is stored, padded with zeros (rule A6).
 *
 * The segment in which a timeline begins comes under the new timeline's name, with the old one's bytes before the switch; a segment
 * of an older timeline is never padded, as the next timeline's takes its place.
 *
 * Errors: WAL_SEGMENT_ABSENT when not even its first byte is stored; OBJECT_DAMAGED when WAL of it was stored and cannot be used;
 * WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT; those of the store.
 */
export async function readSegment(
  repository: Repository,
  inventory: WalInventory,
  reference: SegmentReference,
): Promise<SegmentContent> {
  const lineage = findLineage(inventory, reference.lineage);
  const { segmentBytes } = lineage.header;
  const stored = new StoredWal(repository, lineage, pathInLineage(lineage, reference.timeline));
  const name = stored.segmentName(reference.segmentNumber);
  const start = reference.segmentNumber * BigInt(segmentBytes);
  const bytes = Buffer.alloc(segmentBytes);
  let length = 0;
  for await (const piece of stored.read(start, start + BigInt(segmentBytes))) {
    bytes.set(piece, length);
    length += piece.length;
  }
  if (length === 0) throw absentSegment(name, reference);
  return { name, bytes, validUntil: start + BigInt(length), whole: length === segmentBytes };
}

/**
 * The names of all files that PostgreSQL may ask for while it recovers from `from` up to `to` on the history of `timeline`, in the order in
 * which it reads them: the history file, then segments, the last of them perhaps padded. Exactly these exist (rule A3).
 *
 * Errors: WAL_LINEAGE_ABSENT, WAL_HISTORY_ABSENT.
 */
export function listRecoveryFiles(
  inventory: WalInventory,
  range: { lineage: string; timeline: number; from: bigint; to: bigint },
): RecoveryFile[] {
  const lineage = findLineage(inventory, range.lineage);
  const path = pathInLineage(lineage, range.timeline);
  const size = BigInt(lineage.header.segmentBytes);
  const files: RecoveryFile[] = [];
  for (const { timeline } of path) {
    if (lineage.histories.has(timeline)) files.push({ kind: 'history', name: formatHistoryName(timeline), timeline });
  }
  for (let number = range.from / size; number * size < range.to; number++) {
    const { timeline } = path.findLast((stretch) => stretch.from / size <= number) ?? path[0]!;
    files.push({ kind: 'segment', name: formatSegmentName(timeline, number, Number(size)), segmentNumber: number });
  }
  return files;
}

/** One file of a recovery. */
export type RecoveryFile =
  | { readonly kind: 'history'; readonly name: string; readonly timeline: number }
  | { readonly kind: 'segment'; readonly name: string; readonly segmentNumber: bigint };

function absentSegment(name: string, { lineage }: SegmentReference): HoldfastError {
  return new HoldfastError('WAL_SEGMENT_ABSENT', `cannot find WAL segment "${name}"`, {
    detail: `Lineage "${lineage}" holds nothing of it from its start on.`,
    hints: ['Run `holdfast wal status` to see from where to where WAL is stored.'],
  });
}
