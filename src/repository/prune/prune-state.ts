import { codeOf, mapAhead, type Progress, silentProgress } from '../../lib/index.ts';
import { HEADER_BYTES, kindPrefix } from '../codec/index.ts';
import type { ChunkIndex, ChunkReader } from '../index/index.ts';
import { isLeaseAlive, type Lease, leaseBegan, listLeases } from '../lease/index.ts';
import type { ObjectEntry } from '../object-store/index.ts';
import { PACK_ENTRY_BYTES } from '../pack/index.ts';
import type { Repository } from '../repository.ts';
import { type ForgottenEntry, readPending, type SnapshotList, type SnapshotRecord } from '../snapshot/index.ts';
import { listStoredTombstones, type StoredTombstone } from '../tombstone/index.ts';
import type { IndexObjectFacts, LeaseFacts, PackFacts, PendingFacts, PruneFacts } from './facts.ts';
import { ABSENT, ANNOUNCED, DAMAGED, LiveChunks } from './live-chunks.ts';
import { findOnAnnounced, markRoots } from './mark-roots.ts';
import { listsLate, pruneRunning, rootUnreadable } from './prune-error.ts';

/** Who wants which snapshots to be forgotten, and why, by id. */
export type ForgetWish = ReadonlyMap<string, Omit<ForgottenEntry, 'id'>>;

/** What was found, and what is needed to carry a proposal out. Whoever has it closes it. */
export interface PruneState {
  readonly facts: PruneFacts;
  readonly wish: ForgetWish;
  readonly index: ChunkIndex;
  readonly reader: ChunkReader;
  readonly live: LiveChunks;
  close(): void;
}

export interface StateOptions {
  /** One place of a repository. */
  readonly repository: Repository;
  readonly forget: ForgetWish;
  /** The pruner's own; without it nothing can be carried out. */
  readonly lease?: Lease;
  /** Whether somebody may come back for a pending snapshot although its lease is gone. */
  readonly spares?: (pending: SnapshotRecord) => boolean;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** Records and objects that are asked for at once. */
const READS_MAX = 16;

/**
 * Looks at one place of a repository: what is announced, who is at work, which snapshots there are, and what they need. Changes nothing.
 *
 * The order is that of `docs/prune.md`: tombstones first, then leases and snapshots, then the index, which has all that these need by then. Errors:
 * `PRUNE_ROOT_UNREADABLE`, `PRUNE_RUNNING`, `STORE_LISTS_LATE`; those of the store.
 */
export async function collectPruneState(options: StateOptions): Promise<PruneState> {
  const { repository, forget, progress = silentProgress } = options;
  progress.begin('looking at what is stored', { unit: 'objects' });
  const takenAt = await repository.store.now();
  const tombstones = await listStoredTombstones(repository);
  const leases = await readLeases(options, takenAt);
  const pending = await list(repository, 'snapshot-pending');
  const snapshots = await repository.listSnapshots();
  refuseUnreadable(snapshots, forget);
  const indexObjects: IndexObjectFacts[] = [];
  const index = await repository.loadIndex({
    onObject: (name, packs) => {
      const ids = packs.map(({ packId }) => hex(packId));
      const chunks = packs.reduce((count, { entries }) => count + entries.length / PACK_ENTRY_BYTES, 0);
      indexObjects.push({ name, chunks, packs: ids });
    },
  });
  try {
    const [unreadable] = index.unreadable;
    if (unreadable !== undefined) throw rootUnreadable(`index object "${unreadable.name}"`, unreadable.reason);
    const stored = await listPacks(repository, index);
    const damage = await listDamageByPack(repository);
    const announced = firstAnnouncements(tombstones);
    const stateOf = (number: number) => {
      const id = hex(index.packOf(number).packId);
      return (stored.has(id) ? 0 : ABSENT) | (announced.has(id) ? ANNOUNCED : 0) | (damage.has(id) ? DAMAGED : 0);
    };
    const live = new LiveChunks(index, stateOf);
    const reader = repository.openChunkReader(index);
    const found = { snapshots, pending, live, reader };
    const marked = await markAll(options, found);
    const packs = describePacks({ index, stored, announced, damage, live });
    const facts: PruneFacts = {
      ...{ repositoryId: repository.id, place: repository.store.description, takenAt },
      tombstones: tombstones.map(({ name, storedAt, record }) => {
        return { name, storedAt, packs: record.packs, index: record.index ?? [] };
      }),
      withdrawn: [...snapshots.withdrawn].map(([id, storedAt]) => ({ id, storedAt })),
      ...{ leases, packs, indexObjects, damage },
      ...marked,
    };
    return { facts, wish: forget, index, reader, live, close: () => index.close() };
  } catch (error) {
    index.close();
    throw error;
  }
}

/** Errors: PRUNE_RUNNING; STORE_LISTS_LATE. */
async function readLeases({ repository, lease }: StateOptions, now: number): Promise<LeaseFacts[]> {
  const stored = await listLeases(repository);
  if (lease !== undefined && !stored.some(({ name }) => name === lease.name)) {
    // Somebody may have removed it as over: then renewing it finds out.
    await lease.renew();
    lease.assertHeld();
    throw listsLate(lease.name);
  }
  const leases = stored
    .filter(({ name }) => name !== lease?.name)
    .map((each) => ({
      ...{ name: each.name, storedAt: each.storedAt, purpose: each.record?.purpose ?? 'unknown' },
      ...{ began: leaseBegan(each), isAlive: isLeaseAlive(each, now) },
    }));
  const other = leases.find(({ purpose, isAlive }) => isAlive && purpose === PRUNE_PURPOSE);
  if (lease !== undefined && other !== undefined) throw pruneRunning(other.name);
  return leases;
}

/** By which pruners know each other's leases. */
export const PRUNE_PURPOSE = 'prune';

/** A record that cannot be read may be that of a root. */
function refuseUnreadable({ damaged }: SnapshotList, forget: ForgetWish): void {
  const root = damaged.find(({ id }) => !forget.has(id));
  if (root === undefined) return;
  throw rootUnreadable(`snapshot record "${root.name}"`, root.error.detail ?? root.error.message, root.error);
}

async function markAll(
  options: StateOptions,
  found: { snapshots: SnapshotList; pending: ObjectEntry[]; live: LiveChunks; reader: ChunkReader },
) {
  const { forget, signal, progress = silentProgress } = options;
  const { snapshots, live, reader } = found;
  const stop = signal === undefined ? {} : { signal };
  const committed = snapshots.snapshots.filter(({ id }) => !forget.has(id));
  progress.begin('finding out what snapshots need', { total: committed.length });
  let lostChunks = await markRoots(committed, live, reader, { ...stop, onRoot: () => progress.advance(1) });
  const pending: PendingFacts[] = [];
  const unreadablePending: string[] = [];
  let roots = committed.length;
  for await (const each of mapAhead(found.pending, { atOnceMax: READS_MAX }, (entry) =>
    readPendingOf(options, found, entry),
  )) {
    pending.push(each.facts);
    if (each.facts.state !== 'open' && each.facts.state !== 'spared') continue;
    roots += 1;
    try {
      if (each.record === null) throw rootUnreadable(`pending snapshot ${each.facts.id}`, 'Its record is damaged.');
      lostChunks += await markRoots([each.record], live, reader, stop);
    } catch (error) {
      if (codeOf(error) !== 'PRUNE_ROOT_UNREADABLE') throw error;
      unreadablePending.push(each.facts.id);
    }
  }
  const leaving = snapshots.snapshots.filter(({ id }) => forget.has(id));
  const onAnnounced = await findOnAnnounced(leaving, live, reader, stop);
  const deferred = leaving.filter(({ id }) => onAnnounced.has(id));
  lostChunks += await markRoots(deferred, live, reader, stop);
  const gone = [...leaving, ...snapshots.damaged].filter(({ id }) => !onAnnounced.has(id)).map(({ id }) => id);
  return {
    ...{ pending, unreadablePending, lostChunks, roots: roots + deferred.length },
    ...{ forget: gone, deferred: deferred.map(({ id }) => id) },
  };
}

async function readPendingOf(
  { repository, spares }: StateOptions,
  { snapshots }: { snapshots: SnapshotList },
  { name, modifiedAt }: ObjectEntry,
): Promise<{ facts: PendingFacts; record: SnapshotRecord | null }> {
  const id = name.slice(kindPrefix('snapshot-pending').length);
  const facts = (state: PendingFacts['state']) => ({ id, storedAt: modifiedAt, state });
  if (snapshots.withdrawn.has(id)) return { facts: facts('withdrawn'), record: null };
  if (snapshots.storedAt.has(id)) return { facts: facts('committed'), record: null };
  const record = await readPending(repository, id);
  return { facts: facts(record !== null && spares?.(record) === true ? 'spared' : 'open'), record };
}

async function list({ store }: Repository, kind: 'snapshot-pending' | 'data-pack' | 'damage'): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for await (const entry of store.list(kindPrefix(kind))) entries.push(entry);
  return entries;
}

/** By id. A pack that the index names and a listing does not is asked for by name: a listing may be older than it should be. */
async function listPacks(repository: Repository, index: ChunkIndex) {
  const prefix = kindPrefix('data-pack');
  const packs = new Map<string, { bytes: number; storedAt: number }>();
  for (const { name, size, modifiedAt } of await list(repository, 'data-pack')) {
    const id = name.slice(prefix.length);
    if (/^[0-9a-f]{64}$/.test(id)) packs.set(id, { bytes: size, storedAt: modifiedAt });
  }
  const unlisted: string[] = [];
  for (const { packId } of index.listPacks()) if (!packs.has(hex(packId))) unlisted.push(hex(packId));
  const ask = async (id: string) => ({ id, stat: await repository.store.stat(prefix + id) });
  for await (const { id, stat } of mapAhead(unlisted, { atOnceMax: READS_MAX }, ask)) {
    if (stat !== null) packs.set(id, { bytes: stat.size, storedAt: stat.modifiedAt });
  }
  return packs;
}

async function listDamageByPack(repository: Repository): Promise<Map<string, string[]>> {
  const damage = new Map<string, string[]>();
  for (const { name } of await list(repository, 'damage')) {
    const id = /^([0-9a-f]{64})(?:\.[0-9]{8})?$/.exec(name.slice(kindPrefix('damage').length))?.[1];
    if (id !== undefined) damage.set(id, [...(damage.get(id) ?? []), name]);
  }
  return damage;
}

function firstAnnouncements(tombstones: readonly StoredTombstone[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const { storedAt, record } of tombstones) {
    for (const id of record.packs) first.set(id, Math.min(storedAt, first.get(id) ?? storedAt));
  }
  return first;
}

function describePacks(found: {
  index: ChunkIndex;
  stored: ReadonlyMap<string, { bytes: number; storedAt: number }>;
  announced: ReadonlyMap<string, number>;
  damage: ReadonlyMap<string, unknown>;
  live: LiveChunks;
}): PackFacts[] {
  const { index, stored, announced, damage, live } = found;
  const describe = (id: string, number: number | undefined): PackFacts => ({
    ...{ id, stored: stored.get(id) ?? null, isIndexed: number !== undefined },
    ...{ announcedAt: announced.get(id) ?? null, isDamaged: damage.has(id) },
    ...(number === undefined
      ? { chunkBytes: 0, liveChunks: 0, liveBytes: 0, sharedChunks: 0, leaningChunks: 0 }
      : { chunkBytes: index.packOf(number).chunksEnd - HEADER_BYTES, ...live.tallyOf(number) }),
  });
  const packs: PackFacts[] = [];
  for (let number = 0; number < index.packCount; number++)
    packs.push(describe(hex(index.packOf(number).packId), number));
  for (const id of stored.keys())
    if (index.packNumberOf(Buffer.from(id, 'hex')) === undefined) packs.push(describe(id, undefined));
  return packs;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
