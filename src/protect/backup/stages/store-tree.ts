import { type TreeSummary, TreeWriter } from '../../../repository/index.ts';
import type { EntryTable } from '../entry-table.ts';
import type { BackupStores } from './open-stores.ts';

/** Stores the listing of all files as a tree of chunks and waits until it is durable and indexed, together with what it lists. */
export async function storeTree(options: { stores: BackupStores; entries: EntryTable }): Promise<TreeSummary> {
  const { tree, ingest } = options.stores;
  const writer = new TreeWriter((raw) => tree.store(raw));
  for (const entry of options.entries.sorted()) await writer.add(entry);
  const summary = await writer.finish();
  // The last packs of both are on their way at the same time, and one index names them.
  await tree.finish();
  await ingest.finish();
  return summary;
}
