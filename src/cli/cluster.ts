import { HoldfastError } from '../lib/index.ts';
import type { CommandContext } from './command.ts';

/**
 * The one cluster that a command is about: the one that was named, otherwise the only one that the repository keeps, otherwise (in a
 * repository that keeps nothing yet) the plan's default.
 *
 * `wish` completes "cannot tell which cluster to". Errors: CLUSTER_AMBIGUOUS, those of the store.
 */
export async function chooseCluster({ plan, repository }: CommandContext, wish: string): Promise<string> {
  const { name, nameOrigin } = plan.cluster;
  if (nameOrigin !== null) return name;
  const { listClusters } = await import('../watch/index.ts');
  const known = await listClusters(repository);
  if (known.length <= 1) return known[0] ?? name;
  throw new HoldfastError('CLUSTER_AMBIGUOUS', `cannot tell which cluster to ${wish}`, {
    detail: `Expected the name of one, as the repository keeps ${known.map((each) => `"${each}"`).join(', ')}.`,
    hints: ['Name one with --cluster, HOLDFAST_CLUSTER or as the only one of clusters in a plan.'],
  });
}
