import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { encodeLineageHeader } from '../../src/protect/wal/lineage.ts';
import { fragmentObjectName, lineageObjectName } from '../../src/protect/wal/object-names.ts';
import {
  commitSnapshot,
  newSnapshotId,
  type PackContent,
  PackWriter,
  type Repository,
  type SnapshotRecord,
  TreeWriter,
  writeIndexObjects,
} from '../../src/repository/index.ts';

const system = '7000000000000000001';
const segmentBytes = 1 << 20;
const [walStart, walEnd] = [0x300000n, 0x300400n];

/** Stores chunks in one pack and names it in the index. */
export async function storePack(
  repository: Repository,
  content: PackContent,
  chunks: readonly Buffer[],
): Promise<string> {
  const spoolPath = join(await repository.store.spoolDirectory(), randomBytes(8).toString('hex'));
  const writer = new PackWriter({ keys: repository.keys, content, spoolPath });
  for (const raw of chunks) writer.append(repository.keys.identifyChunk(raw), raw, null);
  const pack = writer.finish();
  await repository.store.putFileIfAbsent(pack.name, pack.spoolPath);
  await writeIndexObjects(repository, [{ packId: pack.packId, content, epoch: pack.epoch, entries: pack.entries }]);
  return pack.name;
}

/** A snapshot of two small files, each one chunk, with a stretch of WAL. */
export async function storeSmallSnapshot(
  repository: Repository,
  contents: Record<string, Buffer>,
  lineage: string,
  details: SnapshotRecord['details'] = {},
) {
  const dataPack = await storePack(repository, 'data', Object.values(contents));
  const nodes: Buffer[] = [];
  const tree = new TreeWriter(async (raw) => {
    nodes.push(Buffer.from(raw));
    return repository.keys.identifyChunk(raw);
  });
  for (const [path, raw] of Object.entries(contents)) {
    const extent = { form: 'chunk' as const, length: raw.length, id: repository.keys.identifyChunk(raw), offset: 0 };
    const content = { form: 'inline' as const, map: { extents: [extent], fingerprints: null } };
    await tree.add({ type: 'file', path, mode: 0o600, mtimeMs: 1, size: raw.length, content });
  }
  const summary = await tree.finish();
  const treePack = await storePack(repository, 'tree', nodes);
  const at = new Date().toISOString();
  const snapshot: SnapshotRecord = {
    version: 1,
    id: newSnapshotId(),
    kind: 'base-backup',
    cluster: 'shop',
    writer: randomBytes(16).toString('hex'),
    startedAt: at,
    completedAt: at,
    tree: summary,
    stored: { newChunks: 2, newBytes: 2, storedBytes: 2 },
    wal: { system, lineage, timeline: 1, start: '0/300000', end: '0/300400' },
    details,
  };
  await commitSnapshot(repository, snapshot);
  return { snapshot, dataPack, treePack };
}

/** A lineage with the one fragment of WAL that such a snapshot needs. */
export async function storeSmallLineage(repository: Repository): Promise<{ lineage: string; fragment: string }> {
  const lineage = randomBytes(32).toString('hex');
  const place = { system, lineage };
  const header = {
    ...place,
    cluster: 'shop',
    createdAt: new Date().toISOString(),
    segmentBytes,
    startTimeline: 1,
    startLsn: walStart,
    parent: null,
  };
  await repository.putJson('wal-lineage', lineageObjectName(place), encodeLineageHeader(header));
  const fragment = fragmentObjectName(place, { timeline: 1, start: walStart, end: walEnd, receiver: '00'.repeat(8) });
  await repository.putBody('wal-fragment', fragment, randomBytes(Number(walEnd - walStart)));
  return { lineage, fragment };
}
