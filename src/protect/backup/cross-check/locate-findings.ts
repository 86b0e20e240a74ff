import { HoldfastError } from '../../../lib/index.ts';
import { type BlockVisitor, blockLimitsOf } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { forkKey, isEndOfInput, scanRecords, type WalInventory, type WalRange } from '../../wal/index.ts';
import type { RawFinding } from './compare-change-set.ts';

/**
 * Says of each finding where the last record of the range begins that changes the block or cuts it off; null where none does, and of all of them where
 * the WAL cannot be read to its end. The WAL is read again for it, which nobody minds: there is never to be a finding.
 */
export async function locateFindings<Found extends RawFinding>(
  repository: Repository,
  inventory: WalInventory,
  range: WalRange,
  findings: readonly Found[],
): Promise<(Found & { lsn: bigint | null })[]> {
  const places = new Map<string, { block: number; lsn: bigint | null }[]>();
  const located = findings.map((finding) => {
    const place = { block: finding.block, lsn: null };
    const key = forkKey(finding);
    places.set(key, [...(places.get(key) ?? []), place]);
    return { finding, place: place as { block: number; lsn: bigint | null } };
  });
  let lsn = 0n;
  const note = (key: string, isMeant: (block: number) => boolean) => {
    for (const place of places.get(key) ?? []) if (isMeant(place.block)) place.lsn = lsn;
  };
  const visitor: BlockVisitor = {
    visitBlock: (tablespaceOid, databaseOid, relationNumber, fork, block) =>
      note(forkKey({ tablespaceOid, databaseOid, relationNumber, fork }), (wanted) => wanted === block),
  };
  const scan = scanRecords(repository, inventory, range, (record) => {
    lsn = record.lsn;
    for (const limit of blockLimitsOf(record)) note(forkKey(limit), (wanted) => wanted >= limit.limit);
    record.visitBlocks(visitor);
  });
  const isWhole = await isReadToEnd(scan);
  return located.map(({ finding, place }) => ({ ...finding, lsn: isWhole ? place.lsn : null }));
}

/** What was found counts, wherever it stands: what keeps the WAL from being read is no reason to lose it. */
async function isReadToEnd(scan: ReturnType<typeof scanRecords>): Promise<boolean> {
  try {
    let step = await scan.next();
    while (step.done !== true) step = await scan.next();
    return isEndOfInput(step.value);
  } catch (error) {
    // The store's troubles are told by whatever the run reads or writes next.
    if (!(error instanceof HoldfastError)) throw error;
    return false;
  }
}
