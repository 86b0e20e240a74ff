import { z } from 'zod';
import { hexId, type JsonValue, moment, type SealedObjects } from '../sealed/index.ts';
import { committedName } from './snapshot-record.ts';

const withdrawal = z.object({ version: z.literal(1), id: hexId, withdrawnAt: moment });

/**
 * Takes the place of the committed record of a pending snapshot, so that it can never be committed: names are given once, and whoever is first has it (`docs/prune.md`).
 *
 * `committed`: its writer was faster, or somebody else. Safe to repeat. Errors: those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function withdrawSnapshot(objects: SealedObjects, id: string): Promise<'withdrawn' | 'committed'> {
  const name = committedName(id);
  const withdrawnAt = new Date(await objects.store.now()).toISOString();
  const record: JsonValue = { version: 1, id, withdrawnAt };
  if ((await objects.putJson('snapshot-committed', name, record)) === 'created') return 'withdrawn';
  return isWithdrawal(await objects.getJson('snapshot-committed', name)) ? 'withdrawn' : 'committed';
}

/** Whether what lies under the name of a committed record says that the snapshot was withdrawn. */
export function isWithdrawal(value: unknown): boolean {
  return withdrawal.safeParse(value).success;
}
