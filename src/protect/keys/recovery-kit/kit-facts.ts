import type { Repository, SlotInfo } from '../../../repository/index.ts';
import { listSlots } from '../../../repository/index.ts';

/** Where the repository lies, and what lets one in there. */
export interface KitPlace {
  /** `primary`, or what the plan calls the copy. */
  readonly name: string;
  readonly location: string;
  readonly access: PlaceAccess;
}

/**
 * What a store asks for. `environment`: whatever the machine offers by itself; `variables`: named ones, each with its value where the page is to hold it,
 * and `null` where whoever recovers types it.
 */
export type PlaceAccess =
  | { readonly kind: 'environment' }
  | { readonly kind: 'variables'; readonly variables: readonly KitVariable[] };

export interface KitVariable {
  readonly name: string;
  readonly value: string | null;
  /** Whether the value is one that opens the store. */
  readonly secret: boolean;
}

/** One server that the repository keeps, as of its newest snapshot. */
export interface KitCluster {
  readonly name: string;
  readonly serverVersion: string;
  readonly bytes: number;
  readonly snapshots: number;
  readonly newestAt: string;
  /** Where the data of tablespaces lay. */
  readonly tablespaces: readonly string[];
}

/** All that stands in a kit. */
export interface KitFacts {
  readonly madeAt: number;
  /** Of Holdfast. */
  readonly version: string;
  readonly repository: {
    readonly id: string;
    readonly createdAt: string;
    readonly formatSha256: string;
    readonly signingKey: string;
    readonly epoch: number;
  };
  /** The primary first. */
  readonly places: readonly KitPlace[];
  readonly slots: readonly SlotInfo[];
  readonly clusters: readonly KitCluster[];
  /** The key that this page holds, as the lines that are typed. */
  readonly key: { readonly slot: string; readonly lines: readonly string[] } | null;
  /** Who to call; none when the plan names nobody. */
  readonly contacts: readonly string[];
}

/** Reads what a kit says of the repository itself. Errors: those of the store. */
export async function gatherRepository(
  repository: Repository,
): Promise<Pick<KitFacts, 'repository' | 'slots' | 'clusters'>> {
  const { id, format, formatSha256, keys } = repository;
  const { slots } = await listSlots(repository);
  return {
    repository: {
      ...{ id, createdAt: format.createdAt, formatSha256 },
      ...{ signingKey: keys.publicKey.toString('hex'), epoch: keys.currentEpoch },
    },
    slots: slots.filter(({ state }) => state !== 'removed' && state !== 'foreign'),
    clusters: await gatherClusters(repository),
  };
}

async function gatherClusters(repository: Repository): Promise<KitCluster[]> {
  const { snapshots } = await repository.listSnapshots();
  const byName = Map.groupBy(snapshots, ({ cluster }) => cluster);
  return [...byName].map(([name, kept]) => {
    const newest = kept.at(-1)!;
    const { serverVersion, tablespaces } = newest.details as { serverVersion?: unknown; tablespaces?: unknown };
    return {
      name,
      serverVersion: typeof serverVersion === 'string' ? serverVersion : '',
      bytes: newest.tree.bytes,
      snapshots: kept.length,
      newestAt: newest.completedAt,
      tablespaces: Array.isArray(tablespaces)
        ? tablespaces.flatMap((each: { path?: unknown }) => (typeof each.path === 'string' ? [each.path] : []))
        : [],
    };
  });
}
