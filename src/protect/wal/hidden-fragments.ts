import type { ObjectStore } from '../../repository/index.ts';
import type { StoredFragment, TimelineInventory } from './inventory.ts';
import { fragmentsFrom, fragmentsPrefix, type LineagePlace, parseWalObjectName } from './object-names.ts';

/**
 * Fragments that were deleted by name where what is deleted is kept, and whose WAL lies in no whole segment.
 *
 * Receivers delete a fragment once it lies in a segment, and where versions are kept that is a marker, which a thief of a writer's credentials may set as well (rule B1).
 * What a marker hides is listed from the end of the first unbroken run of segments on, so that the many that were joined cost nothing. What lies before the first segment was let go with
 * intent. Errors: those of the store.
 */
export async function listHiddenFragments(
  store: ObjectStore,
  place: LineagePlace,
  { segmentBytes, timelines }: { segmentBytes: number; timelines: ReadonlyMap<number, TimelineInventory> },
): Promise<StoredFragment[]> {
  // A disk and a memory keep nothing of what is deleted.
  if (store.protection === undefined && store.places === undefined) return [];
  const size = BigInt(segmentBytes);
  const prefix = fragmentsPrefix(place);
  const hidden: StoredFragment[] = [];
  for (let startAfter: string | null = ''; startAfter !== null; ) {
    const from: string = startAfter;
    startAfter = null;
    for await (const entry of store.list(prefix, { ...(from === '' ? {} : { startAfter: from }), hidden: true })) {
      const name = parseWalObjectName(entry.name);
      if (name?.kind !== 'fragment') continue;
      const { fragment } = name;
      const stored = timelines.get(fragment.timeline);
      const end = joinedEnd(stored, size);
      if (fragment.start < end) {
        const behind = fragmentsFrom(place, fragment.timeline, end);
        if (behind <= from) continue;
        startAfter = behind;
        break;
      }
      if (stored?.segments.has(fragment.start / size) === true) continue;
      if (stored?.fragments.some(({ objectName }) => objectName === entry.name) === true) continue;
      hidden.push({ ...fragment, objectName: entry.name, size: entry.size });
    }
  }
  return hidden;
}

/** Where the first unbroken run of whole segments ends; 0 where there is none. */
function joinedEnd(stored: TimelineInventory | undefined, size: bigint): bigint {
  const numbers = [...(stored?.segments.keys() ?? [])].sort((a, b) => Number(a - b));
  let end = numbers[0];
  for (const number of numbers) {
    if (number !== end) break;
    end = number + 1n;
  }
  return (end ?? 0n) * size;
}
