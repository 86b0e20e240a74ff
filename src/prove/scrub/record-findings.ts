import {
  damageRecordName,
  kindPrefix,
  listKnownDamage,
  noteDamage,
  type Repository,
  readDamagedObject,
  recordObjectDamage,
} from '../../repository/index.ts';
import type { DamagedObject, VerificationResult } from './verdict.ts';

/**
 * Writes down what was found of each damaged object: the record, which packs have already, and then what it costs or that it is healed. A word
 * that was said is not said again. Errors: those of the store.
 */
export async function recordFindings(
  repository: Repository,
  { damage, percent }: VerificationResult,
  options: { isEverything: boolean },
): Promise<void> {
  for (const found of damage) {
    const { object, sentences, state, costSentence } = found;
    // A record about a record would never come to an end, and a missing object has no name of its own.
    if (object.startsWith(kindPrefix('damage')) || object.endsWith('/')) continue;
    if (!isPack(object)) await recordObjectDamage(repository, object, { foundBy: 'verify', sentences: [...sentences] });
    // A sample has not read the copies that a word about harmlessness would rest on.
    if (percent < 100 && state !== 'harmful') continue;
    await noteDamage(repository, { object, state, sentence: costSentence, facts: factsOf(found) });
  }
  const isCertain = options.isEverything && percent === 100 && damage.every(({ state }) => state !== 'harmful');
  if (isCertain) await settleOthers(repository, damage);
}

/** What was damaged once and is not found any more was put back, or is gone and nothing needs it. */
async function settleOthers(repository: Repository, damage: readonly DamagedObject[]): Promise<void> {
  const found = new Set(damage.map(({ object }) => damageRecordName(object)));
  for (const { recordName, note } of await listKnownDamage(repository)) {
    if (found.has(recordName) || note?.state === 'healed') continue;
    const object = note?.object ?? (await readDamagedObject(repository, recordName));
    // A record that cannot be read is among the findings itself.
    if (object === null) continue;
    const sentence = 'It is sound again, or gone and needed by nothing.';
    await noteDamage(repository, { object, state: 'healed', sentence, facts: {} });
  }
}

function isPack(object: string): boolean {
  return object.startsWith(kindPrefix('data-pack'));
}

function factsOf({ snapshots, wal }: DamagedObject) {
  return {
    snapshots: snapshots.map(({ snapshot, files }) => ({ snapshot, files })),
    wal: wal.map(({ lineage, timeline, lostStart, lostEnd, to }) => ({
      // Whether a backup was begun behind it, so that it costs a stretch of the past alone.
      ...{ lineage, timeline, past: to !== null },
      lost: `${lostStart.toString(16)}-${lostEnd.toString(16)}`,
    })),
  };
}
