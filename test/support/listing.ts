import type { ObjectEntry, ObjectStore } from '../../src/repository/index.ts';

/** All that a store lists below a prefix. */
export async function entriesIn(store: ObjectStore, prefix = ''): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for await (const entry of store.list(prefix)) entries.push(entry);
  return entries;
}

/** The names of what a store lists below a prefix. */
export async function namesIn(store: ObjectStore, prefix = ''): Promise<string[]> {
  return (await entriesIn(store, prefix)).map(({ name }) => name);
}
