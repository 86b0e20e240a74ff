import { HoldfastError } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import type { Access } from '../sealed/index.ts';

export const FEATURE_PREFIX = 'features/';

/** Whoever cannot do one cannot do those after it. */
const USES = ['read', 'write', 'prune'] as const satisfies readonly Access[];

/** Slots with a key pair of their own, and epochs that are granted to them by number and fingerprint (`docs/design.md` 3). */
export const KEY_SLOTS_FEATURE = 'read.key-slots-3';

/** Tombstones, and all that whoever prunes has to obey (`docs/prune.md`). */
export const TOMBSTONES_FEATURE = 'prune.tombstones-1';

/** Holds, which whoever prunes has to obey (`docs/retention.md`). */
export const HOLDS_FEATURE = 'prune.holds-1';

/** The features that this version knows, as `<use>.<name>`. */
const RECOGNIZED: ReadonlySet<string> = new Set([KEY_SLOTS_FEATURE, TOMBSTONES_FEATURE, HOLDS_FEATURE]);

/** The body of every feature: its name is the message. */
export const FEATURE_BODY = Buffer.from('{}');

/** Says that a feature is used, before the first object that needs it. Safe to repeat. Errors: those of the store. */
export async function setFeature(store: ObjectStore, feature: string): Promise<void> {
  await store.putIfAbsent(FEATURE_PREFIX + feature, FEATURE_BODY);
}

/**
 * Refuses a use of the repository that a feature unknown to this version forbids.
 *
 * A feature with an unknown use forbids everything. Errors: `REPOSITORY_FEATURE_UNRECOGNIZED` naming it; those of the store.
 */
export async function checkFeatures(store: ObjectStore, access: Access): Promise<void> {
  for await (const { name } of store.list(FEATURE_PREFIX)) {
    const feature = name.slice(FEATURE_PREFIX.length);
    if (RECOGNIZED.has(feature) || USES.indexOf(forbiddenUse(feature)) > USES.indexOf(access)) continue;
    throw new HoldfastError(
      'REPOSITORY_FEATURE_UNRECOGNIZED',
      `cannot open the repository to ${access}: it uses "${feature}"`,
      {
        detail: `Expected only features that this version knows, found "${feature}", which a later version introduced.`,
        hints: ['Install a newer version of Holdfast.'],
      },
    );
  }
}

function forbiddenUse(feature: string): Access {
  const use = feature.slice(0, Math.max(0, feature.indexOf('.')));
  return USES.find((known) => known === use) ?? 'read';
}
