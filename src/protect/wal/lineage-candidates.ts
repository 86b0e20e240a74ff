import { currentLineage } from './continuity.ts';
import type { LineageInventory, WalInventory } from './inventory.ts';

/**
 * The lineages of a cluster in the order in which WAL that arrives is held against them: the one that its sender followed before, the one to go
 * on with, then those that were left for another one or live beside it, the youngest first, and those without WAL last, as nothing in them can
 * contradict anything.
 *
 * Two servers of one origin may both go on under one name: each finds its own lineage here again, and begins no new one.
 */
export function rankLineages(
  inventory: WalInventory,
  cluster: { readonly system: string; readonly cluster: string },
  preferred: string | null,
): LineageInventory[] {
  const { system, cluster: name } = cluster;
  const own = inventory.lineages.filter((lineage) => lineage.system === system && lineage.header.cluster === name);
  const current = currentLineage(inventory, system, name)?.lineage;
  const rank = ({ lineage, timelines, histories }: LineageInventory) => {
    if (lineage === preferred) return 0;
    if (timelines.size === 0 && histories.size === 0) return 3;
    return lineage === current ? 1 : 2;
  };
  return own.sort((a, b) => rank(a) - rank(b) || b.storedAt - a.storedAt || (a.lineage < b.lineage ? -1 : 1));
}
