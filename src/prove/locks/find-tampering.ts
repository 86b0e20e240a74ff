import type { Repository } from '../../repository/index.ts';

/** What was overwritten or deleted by name in one place, which readers do not see. */
export interface FoundTampering {
  readonly place: string;
  readonly count: number;
  /** The first few. */
  readonly names: readonly string[];
}

const NAMES_MAX = 5;
/** Baits of an attack on purpose. */
const BAIT = /^runs\/attack-/;

/**
 * What somebody who may write put over objects, or deleted by name, in each place that keeps what was there before: it harms no reader, and it shows a thief, or a server that lets several
 * writers of one name pass. Errors: those of the store.
 */
export async function findTampering({ store }: Repository): Promise<FoundTampering[]> {
  const found: FoundTampering[] = [];
  for (const place of store.places ?? [{ name: 'primary', store }]) {
    if (place.store.listTampering === undefined) continue;
    const names: string[] = [];
    let count = 0;
    for await (const { name } of place.store.listTampering()) {
      if (BAIT.test(name)) continue;
      count += 1;
      if (names.length < NAMES_MAX) names.push(name);
    }
    if (count > 0) found.push({ place: place.name, count, names });
  }
  return found;
}
