/**
 * What is known to be damaged: one record for each object, written before anything is done about it (rule A1), and notes about what became of
 * it.
 *
 * Nouns. *Damage record*: says that an object is not what was stored, or is gone. From then on no writer counts on the chunks of such a pack.
 * *Damage note*: what is known later: what it costs, or that it is healed. The last note of an object counts. It heals nothing and deletes
 * nothing.
 */
export * from './damage-note.ts';
export {
  type DamageRecord,
  damageRecordName,
  listDamage,
  listDamagedPacks,
  listDamageRecordNames,
  readDamagedObject,
  recordDamage,
  recordObjectDamage,
} from './damage-record.ts';
