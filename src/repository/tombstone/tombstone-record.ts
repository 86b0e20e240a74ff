import { z } from 'zod';
import { mapAhead } from '../../lib/index.ts';
import { kindPrefix } from '../codec/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { hexId, moment, readRecord, type SealedObjects } from '../sealed/index.ts';

const tombstoneRecord = z.object({ version: z.literal(1), createdAt: moment, packs: z.array(hexId) });

/** Records that are asked for at once. */
const READS_MAX = 16;

/** Packs that are about to be deleted. */
export type TombstoneRecord = z.infer<typeof tombstoneRecord>;

/**
 * Every tombstone that is there now.
 *
 * Errors: `OBJECT_DAMAGED` and the like when one cannot be read: nobody may write on without knowing what it covers.
 */
export async function listTombstones(objects: SealedObjects): Promise<TombstoneRecord[]> {
  const records: TombstoneRecord[] = [];
  const listed = objects.store.list(kindPrefix('tombstone'));
  const read = ({ name }: { name: string }) => readTombstone(objects, name);
  for await (const record of mapAhead(listed, { atOnceMax: READS_MAX }, read))
    if (record !== null) records.push(record);
  return records;
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
