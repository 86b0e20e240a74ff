import { z } from 'zod';
import { kindPrefix } from '../codec/index.ts';
import type { ObjectStore, PutOutcome } from '../object-store/index.ts';
import { facts, hexId, type JsonObject, moment, readRecord, type SealedObjects } from '../sealed/index.ts';

const damageRecord = z.object({ version: z.literal(1), pack: hexId, foundAt: moment, facts });

/** What was found about one pack. */
export type DamageRecord = z.infer<typeof damageRecord>;

/** Says, once and for good, that a pack is damaged. A second finding about it returns `exists` and changes nothing. */
export function recordDamage(objects: SealedObjects, packId: Uint8Array, found: JsonObject): Promise<PutOutcome> {
  const pack = Buffer.from(packId).toString('hex');
  const foundAt = new Date(objects.clock.now()).toISOString();
  return objects.putJson('damage', kindPrefix('damage') + pack, { version: 1, pack, foundAt, facts: found });
}

/** The damaged packs as 64 hexadecimal digits each. The name of a record is enough: one that is itself damaged counts as well. */
export async function listDamagedPacks(store: ObjectStore): Promise<Set<string>> {
  const packs = new Set<string>();
  for await (const { name } of store.list(kindPrefix('damage'))) packs.add(name.slice(kindPrefix('damage').length));
  return packs;
}

/** Every record. Errors: `OBJECT_DAMAGED` and the like for a record that cannot be read. */
export async function listDamage(objects: SealedObjects): Promise<DamageRecord[]> {
  const records: DamageRecord[] = [];
  for await (const { name } of objects.store.list(kindPrefix('damage'))) {
    records.push(readRecord(damageRecord, name, await objects.getJson('damage', name)));
  }
  return records;
}
