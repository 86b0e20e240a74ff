import assert from 'node:assert/strict';
import {
  ChunkReader,
  type Repository,
  readFileMap,
  readTree,
  type SnapshotRecord,
} from '../../src/repository/index.ts';

/** What a snapshot keeps under a path of its tree, such as `meta/backup_manifest` or `data/PG_VERSION`. */
export async function readKeptFile(
  repository: Repository,
  snapshot: Pick<SnapshotRecord, 'tree'>,
  path: string,
): Promise<Buffer> {
  const index = await repository.loadIndex();
  try {
    const { readChunk } = new ChunkReader({ ...repository, index });
    for await (const entry of readTree(snapshot.tree.root, readChunk)) {
      if (entry.path !== path) continue;
      assert.ok(entry.type === 'file', `"${path}" is a ${entry.type}`);
      const parts: Buffer[] = [];
      for await (const map of readFileMap(entry, readChunk)) {
        for (const extent of map.extents) {
          if (extent.form === 'zero') parts.push(Buffer.alloc(extent.length));
          else parts.push((await readChunk(extent.id)).subarray(extent.offset, extent.offset + extent.length));
        }
      }
      return Buffer.concat(parts);
    }
  } finally {
    index.close();
  }
  assert.fail(`the snapshot has no "${path}"`);
}
