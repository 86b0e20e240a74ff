import { z } from 'zod';
import type { SnapshotRecord } from '../../repository/index.ts';

const details = z.object({ checksumFailures: z.array(z.string()) });

/**
 * What the server said of pages with a wrong checksum while it was backed up, each with the relation where that is known; empty for a snapshot that
 * is not marked. Such pages are kept as they were found: they are damaged on the server, and in every restore of this snapshot.
 */
export function checksumFailuresOf(record: SnapshotRecord): readonly string[] {
  return details.safeParse(record.details).data?.checksumFailures ?? [];
}
