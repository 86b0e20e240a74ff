import type { ObjectStore } from '../repository/index.ts';
import { primaryAway } from './opening.ts';

/** For who needs the primary and opens no repository. `wish` completes "could not". Errors: `REPOSITORY_PRIMARY_AWAY`. */
export async function refusePrimaryAway(wish: string, primary: ObjectStore): Promise<void> {
  const { whyAway } = await import('../repository/index.ts');
  const error = await whyAway(primary);
  if (error !== null) throw primaryAway(wish, error);
}
