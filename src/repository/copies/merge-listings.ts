import type { ObjectEntry, ObjectStore } from '../object-store/index.ts';
import { isOfOnePlace } from './write-order.ts';

/** One name, and what each of the listings has under it, in their order. */
export interface MergedEntry {
  readonly name: string;
  readonly entries: readonly (ObjectEntry | null)[];
}

/** Walks through listings in the order of names, all at once: memory holds one entry of each. Errors: those of the listings. */
export async function* mergeListings(
  listings: readonly AsyncIterable<ObjectEntry>[],
): AsyncGenerator<MergedEntry, void> {
  const walks = listings.map((listing) => listing[Symbol.asyncIterator]());
  try {
    const heads = await Promise.all(walks.map((walk) => walk.next()));
    for (;;) {
      let least: string | null = null;
      for (const head of heads) if (!head.done && (least === null || head.value.name < least)) least = head.value.name;
      if (least === null) return;
      const name = least;
      const entries = heads.map((head) => (!head.done && head.value.name === name ? head.value : null));
      yield { name, entries };
      await Promise.all(
        entries.map(async (entry, i) => {
          if (entry !== null) heads[i] = await walks[i]!.next();
        }),
      );
    }
  } finally {
    // Whoever stops early lets the listings go.
    await Promise.all(walks.map((walk) => walk.return?.()));
  }
}

/** What two places have under a prefix, without what is about one place alone. */
export function comparePlaces(
  left: ObjectStore,
  right: ObjectStore,
  prefix: string,
  options: { startAfter?: string } = {},
): AsyncGenerator<MergedEntry, void> {
  return skipLocal(mergeListings([left.list(prefix, options), right.list(prefix, options)]));
}

async function* skipLocal(merged: AsyncGenerator<MergedEntry, void>): AsyncGenerator<MergedEntry, void> {
  for await (const entry of merged) if (!isOfOnePlace(entry.name)) yield entry;
}
