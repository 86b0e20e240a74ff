import { randomBytes } from 'node:crypto';
import {
  attest,
  commitSnapshot,
  listAttestations,
  listMisdated,
  loadIndex,
  newSnapshotId,
  overlayStore,
  type Repository,
  SealedObjects,
  type SnapshotRecord,
  writeIndexObjects,
} from '../../repository/index.ts';
import type { PlayedAttackId } from './known-attacks.ts';

/** What became of an attack that was played through. `noticed`: it cannot be prevented, and shows. */
export interface PlayedResult {
  readonly id: PlayedAttackId;
  readonly outcome: 'withstood' | 'noticed' | 'succeeded';
}

const DECADE_MS = 10 * 365 * 86_400_000;

/**
 * Plays through what a thief of the writer's credentials could put into the repository, with and without the key: in memory, above what is stored, so that nothing of it is ever
 * there. Errors: those of the store.
 */
export async function playAttacks(repository: Repository): Promise<PlayedResult[]> {
  const { keys, clock } = repository;
  const store = overlayStore(repository.store);
  const thief = new SealedObjects({ store, keys, clock, access: 'write' });
  return [
    { id: 'plant-future-snapshot', outcome: await plantSnapshot(thief) },
    { id: 'plant-index', outcome: await plantIndex(thief) },
    { id: 'plant-index-with-key', outcome: await plantIndexWithKey(thief) },
    { id: 'forge-proof', outcome: await forgeProof(thief) },
  ];
}

async function plantSnapshot(thief: SealedObjects): Promise<PlayedResult['outcome']> {
  const at = new Date(thief.clock.now() + DECADE_MS).toISOString();
  const planted: SnapshotRecord = {
    ...{ version: 1, id: newSnapshotId(), kind: 'base-backup', cluster: 'main' },
    ...{ writer: randomBytes(16).toString('hex'), startedAt: at, completedAt: at },
    tree: { root: randomBytes(32).toString('hex'), files: 1, bytes: 1 },
    stored: { newChunks: 0, newBytes: 0, storedBytes: 0 },
    wal: { system: '1', lineage: randomBytes(32).toString('hex'), timeline: 1, start: '0/1000000', end: '0/1000100' },
    details: {},
  };
  await commitSnapshot(thief, planted);
  return (await listMisdated(thief)).has(planted.id) ? 'noticed' : 'succeeded';
}

async function plantIndex(thief: SealedObjects): Promise<PlayedResult['outcome']> {
  const name = `index/${randomBytes(32).toString('hex')}`;
  await thief.store.putIfAbsent(name, randomBytes(1000));
  const index = await loadIndex(thief);
  try {
    return index.unreadable.some((object) => object.name === name) ? 'withstood' : 'succeeded';
  } finally {
    index.close();
  }
}

/** A chunk that lies nowhere is known from then on, until somebody reads it. */
async function plantIndexWithKey(thief: SealedObjects): Promise<PlayedResult['outcome']> {
  const [packId, identity] = [randomBytes(32), randomBytes(32)];
  const entry = Buffer.concat([identity, Buffer.alloc(8)]);
  entry.writeUInt32LE(1000, 32);
  entry.writeUInt32LE(984, 36);
  await writeIndexObjects(thief, [{ packId, content: 'data', epoch: thief.keys.currentEpoch, entries: entry }]);
  const index = await loadIndex(thief);
  try {
    if (!index.has(identity)) return 'withstood';
    return (await thief.store.stat(`packs/${packId.toString('hex')}`)) === null ? 'noticed' : 'succeeded';
  } finally {
    index.close();
  }
}

async function forgeProof(thief: SealedObjects): Promise<PlayedResult['outcome']> {
  const snapshot = newSnapshotId();
  await attest(thief, { snapshot, level: 'proven', facts: {} });
  const { attestations } = await listAttestations(thief, snapshot);
  return attestations.length === 0 ? 'withstood' : 'noticed';
}
