import { z } from 'zod';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { hexId, moment, readRecord, type SealedObjects } from '../sealed/index.ts';

const tombstoneRecord = z.object({ version: z.literal(1), createdAt: moment, packs: z.array(hexId) });

/** Packs that are about to be deleted. */
export type TombstoneRecord = z.infer<typeof tombstoneRecord>;

/**
 * Every tombstone that is there now.
 *
 * Errors: `OBJECT_DAMAGED` and the like when one cannot be read: nobody may write on without knowing what it covers.
 */
export async function listTombstones(objects: SealedObjects): Promise<TombstoneRecord[]> {
  const records: TombstoneRecord[] = [];
  for await (const { name } of objects.store.list(kindPrefix('tombstone'))) {
    try {
      records.push(readRecord(tombstoneRecord, name, await objects.getJson('tombstone', name)));
    } catch (error) {
      // Its work is done and it was removed since it was listed.
      if (!isAbsent(error)) throw error;
    }
  }
  return records;
}

/** The packs that any tombstone covers, as 64 hexadecimal digits each. */
export async function listTombstonedPacks(objects: SealedObjects): Promise<Set<string>> {
  const records = await listTombstones(objects);
  return new Set(records.flatMap(({ packs }) => packs));
}
