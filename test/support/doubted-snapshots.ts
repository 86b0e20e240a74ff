import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { openLedger } from '../../src/ledger/index.ts';
import { type FindingKind, type Findings, recordDoubt } from '../../src/protect/backup/cross-check/index.ts';
import { readDoubts } from '../../src/protect/backup/doubts.ts';
import { commitSnapshot, newSnapshotId, type Repository, type SnapshotRecord } from '../../src/repository/index.ts';
import { createRepository } from './memory-repository.ts';

/** A snapshot that stands on another one, or for which everything was read. */
export function made(base: SnapshotRecord | null): SnapshotRecord {
  const reading =
    base === null
      ? { manner: 'everything', over: null, why: null, method: 'stream' }
      : { manner: 'increment', base: base.id, baseStart: base.wal.start };
  return {
    version: 1,
    id: newSnapshotId(),
    kind: 'base-backup',
    cluster: 'main',
    writer: randomBytes(16).toString('hex'),
    startedAt: new Date().toISOString(),
    completedAt: new Date().toISOString(),
    tree: { root: 'ab'.repeat(32), files: 1, bytes: 1 },
    stored: { newChunks: 1, newBytes: 1, storedBytes: 1 },
    wal: { system: '7000000000000000001', lineage: 'ab'.repeat(32), timeline: 1, start: '0/2000028', end: '0/3000000' },
    details: { reading },
  };
}

/** One of the kind. */
export function findings(kind: FindingKind): Findings {
  const finding = { tablespaceOid: 1663, databaseOid: 5, relationNumber: 16_384, fork: 0, block: 3 };
  const first = [{ kind, ...finding, path: 'data/base/5/16384', lsn: null, relation: null }];
  return { from: 0x2000028n, to: 0x3000000n, count: 1, first };
}

/** A repository of snapshots without content, and the means to cast doubt on them. */
export async function placeForDoubt(test: TestContext) {
  const { repository, scratch } = await createRepository(test);
  const ledger = await openLedger(repository, scratch);
  const add = async (base: SnapshotRecord | null) => {
    const snapshot = made(base);
    await commitSnapshot(repository, snapshot);
    return snapshot;
  };
  const doubt = async (older: SnapshotRecord, kind: FindingKind, given: Repository = repository) =>
    recordDoubt(given, ledger, older, findings(kind));
  const doubted = async ({ id }: SnapshotRecord) => (await readDoubts(repository)).isAbout(id);
  return { repository, ledger, add, doubt, doubted };
}
