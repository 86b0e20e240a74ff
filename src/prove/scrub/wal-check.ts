import { HoldfastError } from '../../lib/index.ts';
import { formatLsn, parseLsn } from '../../postgres/index.ts';
import {
  contiguousEnd,
  findLineage,
  fragmentObject,
  isWalDamage,
  pathInLineage,
  readWalObject,
  StoredWal,
  type WalInventory,
  type WalObject,
} from '../../protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../../repository/index.ts';

/** Counts bytes as they are read. */
export interface ReadCount {
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** What keeps a snapshot's WAL from being used, and what does not go on as it must; anything else is the store's own trouble. */
const walCodes = new Set(['WAL_LINEAGE_ABSENT', 'WAL_HISTORY_ABSENT']);

/**
 * Reads the WAL without which a snapshot cannot be restored (rule A13), from its start to its end on its own timeline.
 * Gives what is wrong with it, one whole sentence each.
 */
export async function checkSnapshotWal(
  repository: Repository,
  inventory: WalInventory,
  wal: SnapshotRecord['wal'],
  count: ReadCount,
): Promise<string[]> {
  const [start, end] = [parseLsn(wal.start), parseLsn(wal.end)];
  try {
    const reach = contiguousEnd(inventory, wal.lineage, wal.timeline, start);
    if (reach < end) {
      return [`It needs WAL from ${wal.start} to ${wal.end}, and what is stored ends at ${formatLsn(reach)}.`];
    }
    const lineage = findLineage(inventory, wal.lineage);
    const stored = new StoredWal(repository, lineage, pathInLineage(lineage, wal.timeline));
    for await (const piece of stored.read(start, end)) {
      count.signal?.throwIfAborted();
      count.onBytes(piece.length);
    }
    return [];
  } catch (error) {
    if (error instanceof HoldfastError && (walCodes.has(error.code) || isWalDamage(error))) {
      return [`Its WAL cannot be read: ${error.detail ?? error.message}`];
    }
    throw error;
  }
}

/** An object under `wal/` that is not what was stored. */
export interface WalFinding {
  readonly object: string;
  readonly sentence: string;
}

/** Reads every segment and fragment there is, also those that no snapshot needs: each is a stretch of time that can be gone back to. */
export async function checkAllWal(
  repository: Repository,
  inventory: WalInventory,
  count: ReadCount,
): Promise<{ objects: number; findings: WalFinding[] }> {
  const findings: WalFinding[] = [];
  let objects = 0;
  for (const object of listWalObjects(inventory)) {
    objects += 1;
    try {
      for await (const piece of readWalObject(repository, object)) {
        count.signal?.throwIfAborted();
        count.onBytes(piece.length);
      }
    } catch (error) {
      if (!isWalDamage(error)) throw error;
      // A receiver may have joined a fragment into its segment since the listing.
      if (error.code === 'OBJECT_ABSENT' && object.kind === 'wal-fragment') continue;
      findings.push({ object: object.objectName, sentence: error.detail ?? error.message });
    }
  }
  return { objects, findings };
}

function* listWalObjects(inventory: WalInventory): Generator<WalObject, void> {
  for (const { header, timelines } of inventory.lineages) {
    const size = BigInt(header.segmentBytes);
    for (const { segments, fragments } of timelines.values()) {
      for (const { number, objectName } of segments.values()) {
        yield { kind: 'wal-segment', objectName, start: number * size, end: (number + 1n) * size };
      }
      for (const fragment of fragments) yield fragmentObject(fragment);
    }
  }
}
