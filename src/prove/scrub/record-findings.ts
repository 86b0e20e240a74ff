import { kindPrefix, noteDamage, type Repository, recordObjectDamage } from '../../repository/index.ts';
import type { DamagedObject, VerificationResult } from './verdict.ts';

/**
 * Writes down what was found of each damaged object: the record, which packs have already, and then what it costs or that it is healed. A word
 * that was said is not said again. Errors: those of the store.
 */
export async function recordFindings(repository: Repository, { damage, percent }: VerificationResult): Promise<void> {
  for (const found of damage) {
    const { object, sentences, state, costSentence } = found;
    // A record about a record would never come to an end, and a missing object has no name of its own.
    if (object.startsWith(kindPrefix('damage')) || object.endsWith('/')) continue;
    if (!isPack(object)) await recordObjectDamage(repository, object, { foundBy: 'verify', sentences: [...sentences] });
    // A sample has not read the copies that a word about harmlessness would rest on.
    if (percent < 100 && state !== 'harmful') continue;
    await noteDamage(repository, { object, state, sentence: costSentence, facts: factsOf(found) });
  }
}

function isPack(object: string): boolean {
  return object.startsWith(kindPrefix('data-pack'));
}

function factsOf({ snapshots, wal }: DamagedObject) {
  return {
    snapshots: snapshots.map(({ snapshot, files }) => ({ snapshot, files })),
    wal: wal.map(({ lineage, timeline, lostStart, lostEnd }) => ({
      ...{ lineage, timeline },
      lost: `${lostStart.toString(16)}-${lostEnd.toString(16)}`,
    })),
  };
}
