import type { StoredAmount } from '../measure-store.ts';
import { isAbsent, type ObjectStore, type StorePlace } from '../object-store/index.ts';
import { comparePlaces } from './merge-listings.ts';
import { admitCopy } from './sync-copy.ts';

/** Names of each finding that are kept as examples. */
const EXAMPLES_MAX = 20;
/** Bytes read at once from each place while contents are compared. */
const PART_BYTES = 4 << 20;

/** Objects of one kind of finding. `bytes`: of the place that has them. */
export interface ComparedObjects {
  objects: number;
  bytes: number;
  /** The first names, in their order. */
  names: string[];
  /** By the first part of their names: `packs`, `wal`, … */
  parts: Record<string, StoredAmount>;
}

/** How a copy stands against the primary. */
export interface CopyComparison {
  readonly place: string;
  /** In both, as far as was looked. */
  readonly same: ComparedObjects;
  /** In the primary, and not in the copy. */
  readonly missing: ComparedObjects;
  /** In the copy alone, such as what the primary has deleted. */
  readonly extra: ComparedObjects;
  /** Under the same name with another size or, when contents were compared, other bytes. */
  readonly differing: ComparedObjects;
  /** When the primary took the oldest object that the copy lacks, in milliseconds since 1970; `null` when it lacks none. */
  readonly oldestMissingAt: number | null;
  /** Age of that object by the primary's clock, in milliseconds; 0 when nothing is lacking. */
  readonly lagMs: number;
  /** Whether every byte was read. */
  readonly isDeep: boolean;
}

/**
 * Compares a copy with the primary: names and sizes, and with `deep` every byte of both. Nothing is changed.
 *
 * Memory: some names. Errors: `REPOSITORY_COPY_FOREIGN`, `REPOSITORY_ABSENT`; those of both stores.
 */
export async function compareCopies(options: {
  primary: ObjectStore;
  copy: StorePlace;
  deep?: boolean;
  /** Every name that differs, as it is found: there may be more than are kept. */
  onDiffering?: (name: string) => void;
  onObject?: (object: { name: string; bytes: number }) => void;
  signal?: AbortSignal;
}): Promise<CopyComparison> {
  const { primary, copy, deep = false, signal } = options;
  await admitCopy(primary, copy);
  const [same, missing, extra, differing] = [none(), none(), none(), none()];
  let oldestMissingAt: number | null = null;
  const now = await primary.now();
  for await (const { name, entries } of comparePlaces(primary, copy.store, '')) {
    signal?.throwIfAborted();
    const [source, held] = entries;
    if (source === null || source === undefined) count(extra, name, held!.size);
    else if (held === null || held === undefined) {
      count(missing, name, source.size);
      oldestMissingAt = Math.min(oldestMissingAt ?? source.modifiedAt, source.modifiedAt);
    } else {
      const isSame =
        held.size === source.size && (!deep || (await haveSameBytes(primary, copy.store, name, source.size, signal)));
      // Fragments go when they are joined, also in the middle of a comparison.
      if (isSame === null) continue;
      count(isSame ? same : differing, name, source.size);
      if (!isSame) options.onDiffering?.(name);
    }
    options.onObject?.({ name, bytes: source?.size ?? 0 });
  }
  const lagMs = oldestMissingAt === null ? 0 : Math.max(0, now - oldestMissingAt);
  return { place: copy.name, same, missing, extra, differing, oldestMissingAt, lagMs, isDeep: deep };
}

/** `null` when one of them has it no more. */
async function haveSameBytes(
  one: ObjectStore,
  other: ObjectStore,
  name: string,
  size: number,
  signal?: AbortSignal,
): Promise<boolean | null> {
  try {
    for (let at = 0; at < size; at += PART_BYTES) {
      signal?.throwIfAborted();
      const length = Math.min(PART_BYTES, size - at);
      const [left, right] = await Promise.all([one, other].map((store) => store.getRange(name, at, length)));
      if (!left!.equals(right!)) return false;
    }
    return true;
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

function none(): ComparedObjects {
  return { objects: 0, bytes: 0, names: [], parts: {} };
}

function count(found: ComparedObjects, name: string, bytes: number): void {
  found.objects += 1;
  found.bytes += bytes;
  const part = name.split('/', 1)[0]!;
  const amount = found.parts[part] ?? { objects: 0, bytes: 0 };
  found.parts[part] = amount;
  amount.objects += 1;
  amount.bytes += bytes;
  if (found.names.length < EXAMPLES_MAX) found.names.push(name);
}
