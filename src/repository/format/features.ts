import { HoldfastError } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import type { Access } from '../sealed/index.ts';

const PREFIX = 'features/';

/** Whoever cannot do one cannot do those after it. */
const USES = ['read', 'write', 'prune'] as const satisfies readonly Access[];

/** The features that this version knows, as `<use>.<name>`. Nothing is flagged yet. */
const RECOGNIZED: ReadonlySet<string> = new Set();

/**
 * Refuses a use of the repository that a feature unknown to this version forbids.
 *
 * A feature with an unknown use forbids everything. Errors: `REPOSITORY_FEATURE_UNRECOGNIZED` naming it; those of the store.
 */
export async function checkFeatures(store: ObjectStore, access: Access): Promise<void> {
  for await (const { name } of store.list(PREFIX)) {
    const feature = name.slice(PREFIX.length);
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
