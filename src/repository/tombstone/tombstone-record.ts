import { z } from 'zod';
import { mapAhead } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { setFeature, TOMBSTONES_FEATURE } from '../format/index.ts';
import { isAbsent, type ObjectEntry } from '../object-store/index.ts';
import { encodeJson, hexId, moment, readRecord, type SealedObjects } from '../sealed/index.ts';

const tombstoneRecord = z.object({
  version: z.literal(1),
  createdAt: moment,
  packs: z.array(hexId),
  /** Names of index objects that newer ones have taken the place of: nobody need keep them locked. */
  index: z.array(z.string()).optional(),
});

/** Records that are asked for at once. */
const READS_MAX = 16;

/** Packs that are about to be deleted. */
export type TombstoneRecord = z.infer<typeof tombstoneRecord>;

/** A tombstone as it lies in the store. `storedAt`: the store's own time, in milliseconds since 1970. */
export interface StoredTombstone {
  readonly name: string;
  readonly storedAt: number;
  readonly record: TombstoneRecord;
}

/**
 * Announces that packs are about to be deleted, and index objects that have been replaced; gives the name. From now on no writer counts on these packs, and nothing
 * takes that back (`docs/prune.md`). Durable when it returns.
 *
 * Errors: those of the store; `REPOSITORY_READ_ONLY`.
 */
export async function writeTombstone(
  objects: SealedObjects,
  announced: { packs: readonly string[]; index?: readonly string[] },
): Promise<string> {
  objects.assertWritable();
  // A version that does not know tombstones must not prune any more.
  await setFeature(objects.store, TOMBSTONES_FEATURE);
  const createdAt = new Date(await objects.store.now()).toISOString();
  const record = tombstoneRecord.parse({ version: 1, createdAt, ...announced });
  return objects.putDrawn('tombstone', kindPrefix('tombstone'), encodeJson(record));
}

/**
 * Every tombstone that is there now.
 *
 * Errors: `OBJECT_DAMAGED` and the like when one cannot be read: nobody may write on without knowing what it covers.
 */
export async function listTombstones(objects: SealedObjects): Promise<TombstoneRecord[]> {
  return (await listStoredTombstones(objects)).map(({ record }) => record);
}

/** The same, with where each lies and since when. Errors: as `listTombstones`. */
export async function listStoredTombstones(objects: SealedObjects): Promise<StoredTombstone[]> {
  const found: StoredTombstone[] = [];
  const listed = objects.store.list(kindPrefix('tombstone'));
  const read = async ({ name, modifiedAt }: ObjectEntry) => ({
    name,
    storedAt: modifiedAt,
    record: await readTombstone(objects, name),
  });
  for await (const { record, ...entry } of mapAhead(listed, { atOnceMax: READS_MAX }, read))
    if (record !== null) found.push({ ...entry, record });
  return found;
}

/** `null` for one whose work is done and that was removed since it was listed. */
async function readTombstone(objects: SealedObjects, name: string): Promise<TombstoneRecord | null> {
  try {
    return readRecord(tombstoneRecord, name, await objects.getJson('tombstone', name));
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** The packs that any tombstone covers, as 64 hexadecimal digits each. */
export async function listTombstonedPacks(objects: SealedObjects): Promise<Set<string>> {
  const records = await listTombstones(objects);
  return new Set(records.flatMap(({ packs }) => packs));
}

/** Names of index objects that newer ones have taken the place of, and that are not deleted yet. Errors: as `listTombstones`. */
export async function listReplacedIndexObjects(objects: SealedObjects): Promise<Set<string>> {
  const records = await listTombstones(objects);
  return new Set(records.flatMap(({ index }) => index ?? []));
}
