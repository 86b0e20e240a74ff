import type { ObjectStore } from './object-store/index.ts';

/** Objects and their stored bytes. */
export interface StoredAmount {
  objects: number;
  bytes: number;
}

/**
 * Counts what is stored by the first part of the objects' names (`packs`, `index`, `wal`, …), in the order of names.
 *
 * Lists everything: a request for each thousand objects, so for a person who asks and not for daily work. Errors: those of the store.
 */
export async function measureStore(store: ObjectStore): Promise<ReadonlyMap<string, StoredAmount>> {
  const amounts = new Map<string, StoredAmount>();
  for await (const { name, size } of store.list('')) {
    const part = name.split('/', 1)[0]!;
    const amount = amounts.get(part) ?? { objects: 0, bytes: 0 };
    amounts.set(part, amount);
    amount.objects += 1;
    amount.bytes += size;
  }
  return amounts;
}
