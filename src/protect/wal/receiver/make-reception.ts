import type { Repository } from '../../../repository/index.ts';
import { findLineage, type LineageInventory, readWalInventory } from '../inventory.ts';
import { isWalDamage } from '../stored-wal.ts';
import { storedOnPath, type TimelineStretch } from '../timeline-path.ts';
import { Continuation } from './continuation.ts';
import { Reception } from './reception.ts';
import type { ReceptionOptions } from './reception-options.ts';
import type { StreamPlan } from './resume-plan.ts';
import { storedObjectsFrom } from './stored-objects.ts';

type Derived = 'timeline' | 'start' | 'storedUntil' | 'stored' | 'listStored' | 'continuation';

/** A reception for a planned stream, with all that its WAL has to be held against. Errors: those of the store. */
export async function makeReception(
  options: Omit<ReceptionOptions, Derived> & { plan: StreamPlan; path: readonly TimelineStretch[] },
): Promise<Reception> {
  const { repository, lineage, plan, path, persistence } = options;
  const { timeline, start, storedUntil } = plan;
  return new Reception({
    ...{ ...options, timeline, start, storedUntil },
    stored: storedObjectsFrom(lineage, path, start),
    listStored: async () => {
      const now = await persistence.run(() => readWalInventory(repository, lineage.system));
      return storedObjectsFrom(findLineage(now, lineage.lineage), path, start);
    },
    continuation: await persistence.run(() => primeContinuation(repository, lineage, path, plan)),
  });
}

/** Where the server has nothing left to compare, and what is stored ends just where the stream begins. */
async function primeContinuation(
  repository: Repository,
  lineage: LineageInventory,
  path: readonly TimelineStretch[],
  plan: StreamPlan,
): Promise<Continuation | null> {
  const adjoins = storedOnPath(lineage, path).some(({ start, end }) => start < plan.start && end === plan.start);
  if (plan.storedUntil > plan.start || !adjoins) return null;
  try {
    return await Continuation.prime(repository, lineage, path, plan.start);
  } catch (error) {
    if (!isWalDamage(error)) throw error;
    // What is damaged proves nothing, and is named by whoever reads it as WAL.
    return null;
  }
}
