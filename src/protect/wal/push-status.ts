import { z } from 'zod';
import { formatLsn, parseLsn } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { readStatuses, type StoredStatus, statusName } from './volatile-status.ts';

/** What the last `wal push` said under `volatile/`: for who wants to know how WAL arrives. Never needed for a restore. */
export interface PushStatus {
  readonly system: string;
  readonly cluster: string;
  readonly lineage: string;
  /** The last file that was kept. */
  readonly file: string;
  readonly timeline: number;
  /** Where the WAL in it ends; `null` for a history file. */
  readonly endLsn: bigint | null;
}

export type StoredPushStatus = StoredStatus<PushStatus>;

const schema = z.object({
  version: z.literal(1),
  role: z.literal('wal-push'),
  system: z.string(),
  cluster: z.string(),
  lineage: z.string(),
  file: z.string(),
  timeline: z.int(),
  endLsn: z
    .string()
    .transform((text) => parseLsn(text))
    .nullable(),
});

/** One name for each server of a cluster: what was said last takes the place of what was said before. */
export async function writePushStatus(repository: Repository, status: PushStatus): Promise<void> {
  const name = statusName(`wal-push ${status.system} ${status.cluster} ${status.lineage}`);
  const endLsn = status.endLsn === null ? null : formatLsn(status.endLsn);
  await repository.putVolatileJson('status', name, { version: 1, role: 'wal-push', ...status, endLsn });
}

/** What was pushed last into each lineage, the newest first. A status that cannot be read tells nothing and is left out. */
export function readPushStatuses(repository: Repository): Promise<StoredPushStatus[]> {
  return readStatuses(repository, schema);
}
