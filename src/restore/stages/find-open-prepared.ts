import { formatLsn } from '../../postgres/index.ts';
import type { LandmarkSummary } from '../../protect/wal/index.ts';
import type { Repository } from '../../repository/index.ts';
import { landmarksOf } from '../wal-records.ts';
import type { WalRoute } from '../wal-route.ts';

/** A transaction that is prepared and not yet ended: it holds its locks until somebody commits it or rolls it back. */
export interface OpenPrepared {
  readonly xid: number;
  readonly name: string;
  readonly lsn: bigint;
}

/**
 * The transactions that were prepared between two positions and not ended before the second. Those that were prepared before the first are in
 * the base backup, and named by a server that is started on it.
 *
 * Errors: as `LandmarkReader.read`.
 */
export async function findOpenPrepared(
  repository: Repository,
  route: WalRoute,
  range: { from: bigint; to: bigint },
): Promise<OpenPrepared[]> {
  const open = new Map<number, OpenPrepared>();
  // Before anything is prepared no end is of interest; afterwards each may be.
  const mayHold = ({ prepared, commits, aborts }: LandmarkSummary) =>
    prepared > 0 || (open.size > 0 && commits + aborts > 0);
  for await (const landmark of landmarksOf(repository, route).read({ ...range, mayHold })) {
    if (landmark.kind === 'prepared') {
      const { xid, name } = landmark.prepared;
      open.set(xid, { xid, name, lsn: landmark.lsn });
    } else if (landmark.kind === 'transaction') open.delete(landmark.transaction.xid);
  }
  return [...open.values()];
}

/** In words; none when none is open. */
export function describeOpenPrepared(open: readonly OpenPrepared[]): string[] {
  return open.map(
    ({ xid, name, lsn }) =>
      `Transaction ${xid} is prepared as "${name}" (${formatLsn(lsn)}) and open at this moment: commit it or roll it back afterwards, as it keeps its locks.`,
  );
}
