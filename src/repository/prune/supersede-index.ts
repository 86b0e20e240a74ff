import { HoldfastError } from '../../lib/index.ts';
import { decodeIndex, encodeIndex, INDEX_CHUNKS_MAX, type IndexedPack, writeIndexObjects } from '../index/index.ts';
import type { Lease } from '../lease/index.ts';
import { isAbsent } from '../object-store/index.ts';
import { PACK_ENTRY_BYTES } from '../pack/index.ts';
import type { Repository } from '../repository.ts';
import { writeTombstone } from '../tombstone/index.ts';
import { type Deleter, deleteObjects } from './delete-objects.ts';
import type { Superseding, Waiting, WaitReason } from './propose-prune.ts';
import type { PruneState } from './prune-state.ts';

/** What came of it. `stillNamed`: packs that an old index object names which could not be deleted, and why it could not. */
export interface Superseded {
  readonly stillNamed: ReadonlyMap<string, WaitReason>;
  readonly waiting: readonly Waiting[];
}

/**
 * Replaces index objects: new ones name all packs of theirs that stay and that no other object names; they are read back and compared; then the old ones go.
 *
 * Errors: `INDEX_WRITE_DAMAGED`; those of the store; `LEASE_LOST`.
 */
export async function supersedeIndex(
  repository: Repository,
  state: PruneState,
  deleter: Deleter,
  { objects, rewrite }: Superseding,
): Promise<Superseded> {
  if (objects.length === 0) return { stillNamed: new Map(), waiting: [] };
  await rewritePacks(repository, objects, new Set(rewrite), deleter.lease);
  const waiting = await deleteObjects(
    deleter,
    objects.map((name) => ({ name, bytes: 0 })),
  );
  const left = new Map(waiting.map(({ name, reason }) => [name, reason]));
  await noteReplaced(repository, state, waiting);
  const stillNamed = new Map<string, WaitReason>();
  for (const { name, packs } of state.facts.indexObjects) {
    const why = left.get(name);
    if (why !== undefined) for (const id of packs) stillNamed.set(id, why);
  }
  return { stillNamed, waiting };
}

/** One index object after the other is in memory, and the entries of one new one. */
async function rewritePacks(
  repository: Repository,
  objects: readonly string[],
  wanted: Set<string>,
  lease: Lease,
): Promise<void> {
  let packs: IndexedPack[] = [];
  let chunks = 0;
  const flush = async () => {
    if (packs.length > 0) await writeProved(repository, packs, lease);
    packs = [];
    chunks = 0;
  };
  for (const name of objects) {
    if (wanted.size === 0) break;
    for (const pack of await readIndexObject(repository, name)) {
      const id = Buffer.from(pack.packId).toString('hex');
      if (!wanted.delete(id)) continue;
      const count = pack.entries.length / PACK_ENTRY_BYTES;
      if (chunks + count > INDEX_CHUNKS_MAX) await flush();
      packs.push({ ...pack, packId: Buffer.from(pack.packId), entries: Buffer.from(pack.entries) });
      chunks += count;
    }
  }
  await flush();
  if (wanted.size > 0) throw notNamed([...wanted][0]!);
}

async function readIndexObject(repository: Repository, name: string): Promise<IndexedPack[]> {
  try {
    return decodeIndex(await repository.getBody('index', name), name);
  } catch (error) {
    // Another pruner was here: what it wrote names the packs, and what is then missing is noticed.
    if (isAbsent(error)) return [];
    throw error;
  }
}

async function writeProved(repository: Repository, packs: readonly IndexedPack[], lease: Lease): Promise<void> {
  const names = await writeIndexObjects(repository, packs, lease);
  const read: IndexedPack[] = [];
  for (const name of names) read.push(...decodeIndex(await repository.getBody('index', name), name));
  if (encodeIndex(read).equals(encodeIndex(packs))) return;
  throw new HoldfastError(
    'INDEX_WRITE_DAMAGED',
    `cannot trust index object "${names[0]}": it is not what was written`,
    {
      detail: 'Expected the packs that were written a moment ago, found others. No index object was deleted.',
      hints: ['Run `holdfast doctor`, which tries the place.'],
    },
  );
}

/** Backups stop extending the locks of what stands in a tombstone. */
async function noteReplaced(repository: Repository, { facts }: PruneState, waiting: readonly Waiting[]): Promise<void> {
  const known = new Set(facts.tombstones.flatMap(({ index }) => index));
  const index = waiting.filter(({ reason, name }) => reason === 'locked' && !known.has(name)).map(({ name }) => name);
  if (index.length > 0) await writeTombstone(repository, { packs: [], index });
}

function notNamed(pack: string): HoldfastError {
  return new HoldfastError('PRUNE_PROPOSAL_STALE', 'could not carry out the prune: the repository has changed since', {
    detail: `Expected index objects that name pack ${pack.slice(0, 12)}, found them gone. None was deleted.`,
    hints: ['Run it again; what was done so far is done.'],
    retryable: true,
  });
}
