import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { inLanes } from '../../lib/index.ts';
import { kindPrefix, type ObjectEntry, type Repository } from '../../repository/index.ts';
import { isWalDamage } from './stored-wal.ts';

/** Statuses that are asked for at once. */
const READS_MAX = 16;

/** A status with the store's time of its writing, in milliseconds since 1970. */
export type StoredStatus<Status> = Status & { readonly writtenAt: number; readonly ageMs: number };

/** The name of a status: one for each speaker, so that what is said last takes the place of what was said before. */
export function statusName(speaker: string): string {
  return `${kindPrefix('status')}${createHash('sha256').update(speaker).digest('hex').slice(0, 32)}`;
}

/**
 * What was last said in the form of `schema`, the newest first. Statuses of other forms lie in the same place; they are left out, and so is one
 * that cannot be read: it may be overwritten or torn, and is never needed.
 *
 * Errors: those of the store.
 */
export async function readStatuses<Said extends { version: unknown; role: unknown }>(
  repository: Repository,
  schema: z.ZodType<Said>,
): Promise<StoredStatus<Omit<Said, 'version' | 'role'>>[]> {
  // Asked for before the listing, so that nothing is listed that looks older than it is.
  const asked = repository.store.now();
  asked.catch(() => {}); // Awaited below, unless the listing fails first.
  const statuses: StoredStatus<Omit<Said, 'version' | 'role'>>[] = [];
  const read = async ({ name, modifiedAt }: ObjectEntry) => {
    const said = await readStatus(repository, name, schema);
    if (said === null) return;
    const { version: _, role: __, ...status } = said;
    statuses.push({ ...status, writtenAt: modifiedAt, ageMs: (await asked) - modifiedAt });
  };
  await inLanes(READS_MAX, repository.store.list(kindPrefix('status')), read);
  return statuses.sort((a, b) => b.writtenAt - a.writtenAt);
}

async function readStatus<Said>(repository: Repository, name: string, schema: z.ZodType<Said>): Promise<Said | null> {
  try {
    const parsed = schema.safeParse(await repository.getJson('status', name));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (isWalDamage(error)) return null;
    throw error;
  }
}
