import { z } from 'zod';
import { mapAhead } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { encodeJson, hexId, isUnreadableRecord, moment, readRecord, type SealedObjects } from '../sealed/index.ts';

const forgottenRecord = z.object({
  version: z.literal(1),
  at: moment,
  snapshots: z.array(
    z.object({
      id: hexId,
      cluster: z.string(),
      completedAt: moment,
      /** Why it went, for people. */
      reason: z.string(),
    }),
  ),
});

/** Snapshots that were dropped with intent, in one place of the repository. */
export type ForgottenRecord = z.infer<typeof forgottenRecord>;
export type ForgottenEntry = ForgottenRecord['snapshots'][number];

/** So many stand in one record, some 300 bytes each. */
const SNAPSHOTS_MAX = 5000;
const READS_MAX = 16;

/**
 * Says which snapshots are dropped now, before they are: who misses one finds out by it that nobody hides it (rule B4), and nothing brings it back from elsewhere.
 *
 * Durable when it returns. Errors: those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function recordForgotten(objects: SealedObjects, snapshots: readonly ForgottenEntry[]): Promise<void> {
  const at = new Date(await objects.store.now()).toISOString();
  for (let first = 0; first < snapshots.length; first += SNAPSHOTS_MAX) {
    const record = { version: 1 as const, at, snapshots: snapshots.slice(first, first + SNAPSHOTS_MAX) };
    const body = encodeJson(forgottenRecord.parse(record));
    await objects.putDrawn('snapshot-forgotten', kindPrefix('snapshot-forgotten'), body);
  }
}

/**
 * Every record of snapshots that were dropped here, oldest first. One that cannot be read is left out: then what it names looks hidden, which is the worse of the two.
 * Errors: those of the store.
 */
export async function listForgotten(objects: SealedObjects): Promise<ForgottenRecord[]> {
  const records: ForgottenRecord[] = [];
  const listed = objects.store.list(kindPrefix('snapshot-forgotten'));
  const read = ({ name }: { name: string }) => readForgotten(objects, name);
  for await (const record of mapAhead(listed, { atOnceMax: READS_MAX }, read))
    if (record !== null) records.push(record);
  return records.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

/** The ids of all snapshots that were dropped here. Errors: as `listForgotten`. */
export async function listForgottenIds(objects: SealedObjects): Promise<Set<string>> {
  const records = await listForgotten(objects);
  return new Set(records.flatMap(({ snapshots }) => snapshots.map(({ id }) => id)));
}

async function readForgotten(objects: SealedObjects, name: string): Promise<ForgottenRecord | null> {
  try {
    return readRecord(forgottenRecord, name, await objects.getJson('snapshot-forgotten', name));
  } catch (error) {
    if (isAbsent(error) || isUnreadableRecord(error)) return null;
    throw error;
  }
}
