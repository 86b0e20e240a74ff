import { createHash } from 'node:crypto';
import { z } from 'zod';
import { formatLsn, parseLsn } from '../../postgres/index.ts';
import { kindPrefix, type Repository } from '../../repository/index.ts';
import { isWalDamage } from './stored-wal.ts';

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

/** A status with the store's time of its writing, in milliseconds since 1970. */
export interface StoredPushStatus extends PushStatus {
  readonly writtenAt: number;
  readonly ageMs: number;
}

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
  const identity = createHash('sha256').update(`wal-push ${status.system} ${status.cluster} ${status.lineage}`);
  const name = `${kindPrefix('status')}${identity.digest('hex').slice(0, 32)}`;
  const endLsn = status.endLsn === null ? null : formatLsn(status.endLsn);
  await repository.putVolatileJson('status', name, { version: 1, role: 'wal-push', ...status, endLsn });
}

/** What was pushed last into each lineage, the newest first. A status that cannot be read tells nothing and is left out. */
export async function readPushStatuses(repository: Repository): Promise<StoredPushStatus[]> {
  const now = await repository.store.now();
  const statuses: StoredPushStatus[] = [];
  for await (const { name, modifiedAt } of repository.store.list(kindPrefix('status'))) {
    const value = await readStatus(repository, name);
    if (value !== null) statuses.push({ ...value, writtenAt: modifiedAt, ageMs: now - modifiedAt });
  }
  return statuses.sort((a, b) => b.writtenAt - a.writtenAt);
}

async function readStatus(repository: Repository, name: string): Promise<PushStatus | null> {
  try {
    const parsed = schema.safeParse(await repository.getJson('status', name));
    // Receivers keep theirs in the same place.
    if (!parsed.success) return null;
    const { version: _, role: __, ...status } = parsed.data;
    return status;
  } catch (error) {
    // A status may be overwritten or torn; it is never needed.
    if (isWalDamage(error)) return null;
    throw error;
  }
}
