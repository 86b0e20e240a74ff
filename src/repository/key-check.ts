import { inLanes } from '../lib/index.ts';
import { FEATURE_BODY, FEATURE_PREFIX, KEY_SLOTS_FEATURE } from './format/index.ts';
import { formatKeyName, isKeyObjectOurs, isSlotOurs, type KeyName, listStoredKeys } from './key/index.ts';
import { getIfThere } from './object-store/index.ts';
import type { Repository } from './repository.ts';

/** An object about which something is wrong, in a whole sentence. */
export interface KeyObjectProblem {
  object: string;
  sentence: string;
}

/** Objects that are asked for at once. */
const READS_MAX = 8;

/**
 * Reads everything under `keys/` and `features/` and checks that this repository has written it. A slot of the first form proves itself only to its
 * secret.
 *
 * Errors: those of the store.
 */
export async function checkKeyObjects(repository: Repository): Promise<KeyObjectProblem[]> {
  const { keys, store } = repository;
  const stored = await listStoredKeys(store);
  const problems = stored.damaged.map((object) => ({ object, sentence: 'It is no key slot that can be read.' }));
  const report = (object: string, sentence: string) => void problems.push({ object, sentence });

  for (const slot of stored.slots) {
    const object = formatKeyName({ kind: 'slot', slot: slot.slot });
    if (slot.version === 2 && !isSlotOurs(keys, slot)) report(object, 'It is not as this repository has signed it.');
    else if (slot.version === 2 && !stored.grants.has(slot.slot)) report(object, 'It was given no keys.');
  }
  const signed: KeyName[] = [
    ...[...stored.grants].flatMap(([slot, epochs]) =>
      epochs.map((each) => ({ kind: 'grant', slot, ...each }) as const),
    ),
    ...stored.epochs.map((epoch) => ({ kind: 'epoch', epoch }) as const),
    ...[...stored.removed].map((slot) => ({ kind: 'removal', slot }) as const),
  ];
  await inLanes(READS_MAX, signed.map(formatKeyName), async (object) => {
    const bytes = await getIfThere(store, object);
    if (bytes !== null && !isKeyObjectOurs(keys, object, bytes))
      report(object, 'It is not as this repository has signed it.');
  });
  const needsFeature = stored.slots.some(({ version }) => version === 2);
  problems.push(...(await checkFeatureObjects(repository, needsFeature ? [KEY_SLOTS_FEATURE] : [])));
  return problems.sort((a, b) => (a.object < b.object ? -1 : 1));
}

/** The name of a feature is what counts; its body says nothing, and is checked as every bit is. */
async function checkFeatureObjects({ store }: Repository, needed: readonly string[]): Promise<KeyObjectProblem[]> {
  const problems: KeyObjectProblem[] = [];
  const found = new Set<string>();
  for await (const { name } of store.list(FEATURE_PREFIX)) {
    found.add(name.slice(FEATURE_PREFIX.length));
    const bytes = await getIfThere(store, name);
    if (bytes !== null && !bytes.equals(FEATURE_BODY))
      problems.push({ object: name, sentence: 'Its body is not what was written.' });
  }
  for (const feature of needed) {
    if (found.has(feature)) continue;
    const sentence = 'It is gone: older versions would misread what they should refuse.';
    problems.push({ object: FEATURE_PREFIX + feature, sentence });
  }
  return problems;
}
