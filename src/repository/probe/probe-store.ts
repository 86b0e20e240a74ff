import type { Clock } from '../../lib/index.ts';
import type { ObjectStore } from '../object-store/index.ts';
import { clockTold, dateTold, leastOffset } from './clock-offset.ts';
import type { StoreProbe } from './findings.ts';
import { removeLeftOvers } from './listed-probes.ts';
import { drawProbeName } from './probe-name.ts';
import {
  askProtection,
  isGone,
  judgeOffset,
  tryAtOnce,
  tryDeleting,
  tryListing,
  tryOne,
  tryOverwriting,
  tryRanges,
} from './trials.ts';

/**
 * Tries a store with two objects below `volatile/`, which are removed again, and asks it what it offers.
 *
 * What an earlier probe had to leave is removed as well, where that is permitted. Credentials that may not overwrite or not delete are no error:
 * `overwrite` or `delete` is then `unseen`, and what had to stay stands in `leftBehind`.
 * Errors: those of the store, when it cannot be written, read or listed at all.
 */
export async function probeStore(store: ObjectStore, options: { clock: Clock }): Promise<StoreProbe> {
  const names = [drawProbeName(), drawProbeName()] as const;
  try {
    return await tryStore(store, options.clock, names);
  } catch (error) {
    // The error that matters is on its way already, and a name that cannot be deleted now is removed by a later probe.
    await Promise.allSettled(names.map((name) => store.delete(name)));
    throw error;
  }
}

async function tryStore(store: ObjectStore, clock: Clock, names: readonly [string, string]): Promise<StoreProbe> {
  const [alone, together] = names;
  const told = await clockTold(store, clock);
  // Both listed and asked for before anything is stored, so that a cache of what is absent shows itself.
  await removeLeftOvers(store, told.theirs);
  await isGone(store, alone);
  const first = await tryOne(store, clock, alone);
  const atOnce = await tryAtOnce(store, together);
  // Some drivers know of versions only by what the answers to a put have said.
  const protection = await askProtection(store);
  const ranged = await tryRanges(store, alone, first.bytes);
  const listed = await tryListing(store, names);
  const offsetMs = leastOffset([told, await dateTold(store, alone, first)]);
  const overwrite = await tryOverwriting(store, alone);
  const { deletion, leftBehind } = await tryDeleting(store, names);
  return {
    ...{ writeMs: first.writeMs, readMs: first.readMs, offsetMs, leftBehind },
    findings: {
      'create-once': first.createOnce,
      'create-once-at-once': atOnce,
      'read-after-write': first.readAfterWrite,
      'ranged-read': ranged,
      'list-after-write': listed,
      overwrite,
      delete: deletion,
      ...protection,
      clock: judgeOffset(offsetMs),
    },
  };
}
