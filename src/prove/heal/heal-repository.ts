import { openLedger } from '../../ledger/index.ts';
import { type Clock, codeOf, HoldfastError, type Progress } from '../../lib/index.ts';
import { type ConnectionTarget, connect } from '../../postgres/index.ts';
import { readWalInventory, secondCopyName, type WalInventory } from '../../protect/wal/index.ts';
import {
  acquireLease,
  commitSnapshot,
  damageRecordName,
  type HealedObject,
  healObject,
  kindPrefix,
  type Lease,
  listAttestations,
  listForgottenIds,
  listKnownDamage,
  listPendingIds,
  type RebuiltIndex,
  type Repository,
  readDamagedObject,
  readPending,
} from '../../repository/index.ts';
import { findGoneSegments, listWalObjects, type PlacedWal, withoutObjects } from '../scrub/index.ts';
import { fetchLostWal } from './fetch-lost-wal.ts';

export interface HealOptions {
  readonly repository: Repository;
  /** A server that may still have WAL that is lost here; without one, WAL is left as it is. */
  readonly source?: ConnectionTarget;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/** What became of one damaged object with WAL. */
export interface HealedWal {
  readonly object: string;
  /** `null` when its WAL is stored again; else why not, one whole sentence. */
  readonly problem: string | null;
}

export interface HealResult {
  /** Objects known as damaged that were looked at in every place of the repository; empty where it lies in one place only. */
  readonly fromPlaces: readonly HealedObject[];
  readonly index: RebuiltIndex;
  /** Snapshots whose committed record was gone and was written again. */
  readonly snapshots: readonly string[];
  /** Small objects that have a second copy now. */
  readonly copies: readonly string[];
  readonly wal: readonly HealedWal[];
}

/**
 * Mends what can be mended from what the repository still has, and from the server. Safe to repeat.
 *
 * Damage that nobody has found yet is not looked for: a verification records it. Errors: those of the store and of the server.
 */
export async function healRepository(options: HealOptions): Promise<HealResult> {
  const { repository, progress, signal } = options;
  await using cleanup = new AsyncDisposableStack();
  const lease = cleanup.use(await acquireLease(repository, { purpose: 'heal' }));
  const ledger = await openLedger(repository, options.stateDirectory);
  const fromPlaces = await healFromPlaces(repository, progress, signal);
  progress.begin('naming packs that no index names', { unit: 'files' });
  const index = await repository.rebuildIndex({
    lease,
    onPack: () => progress.advance(1),
    ...(signal === undefined ? {} : { signal }),
  });
  const snapshots = await commitAgain(repository, lease);
  const inventory = await readWalInventory(repository);
  const copies = await addSecondCopies(repository, inventory);
  progress.begin('fetching WAL that is lost', { unit: 'segments' });
  const wal = await healWal(options, inventory);
  const taken = fromPlaces.filter(({ healed }) => healed.some(({ outcome }) => outcome !== 'kept'));
  const facts = {
    fromPlaces: taken.length,
    packs: index.packs,
    snapshots: snapshots.length,
    copies: copies.length,
    wal: wal.length,
  };
  await ledger.append({ action: 'heal', outcome: 'done', subject: repository.id, facts });
  return { fromPlaces, index, snapshots, copies, wal };
}

/** What is known to be damaged is first of all taken from a place that has it whole: that costs nothing and loses nothing. */
async function healFromPlaces(
  repository: Repository,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<HealedObject[]> {
  if (repository.store.places === undefined) return [];
  progress.begin('taking what is damaged from other places', { unit: 'files' });
  const healed: HealedObject[] = [];
  for (const { recordName, note } of await listKnownDamage(repository)) {
    signal?.throwIfAborted();
    const name = note?.state === 'healed' ? null : await readDamagedObject(repository, recordName);
    if (name === null) continue;
    healed.push(await healObject(repository, name));
    progress.advance(1);
  }
  return healed;
}

/** An announced backup about which there is a statement was committed: whoever removed the record did not mean to, and its name is free. */
async function commitAgain(repository: Repository, lease: Lease): Promise<string[]> {
  const committed: string[] = [];
  const forgotten = await listForgottenIds(repository);
  for (const id of await listPendingIds(repository)) {
    if ((await repository.store.stat(kindPrefix('snapshot-committed') + id)) !== null) continue;
    const { attestations } = await listAttestations(repository, id);
    const record = attestations.length === 0 ? null : await readPending(repository, id);
    if (record === null || forgotten.has(id)) continue;
    lease.assertHeld();
    await commitSnapshot(repository, record);
    committed.push(id);
  }
  return committed;
}

/** Repositories of before have one copy only, and one of two may have been lost. */
async function addSecondCopies(repository: Repository, { lineages }: WalInventory): Promise<string[]> {
  const added: string[] = [];
  const add = async (kind: 'wal-lineage' | 'timeline-history', name: string) => {
    const first = await readIfSound(repository, kind, name);
    const second = await readIfSound(repository, kind, secondCopyName(name));
    const [from, to] = first === null ? [second, name] : [first, secondCopyName(name)];
    if ((first === null) === (second === null) || from === null) return;
    if ((await repository.putBody(kind, to, from)) === 'created') added.push(to);
  };
  for (const lineage of lineages) {
    const place = `wal/${lineage.system}/${lineage.lineage}`;
    await add('wal-lineage', `${place}/lineage`);
    for (const timeline of lineage.histories.keys()) {
      const file = timeline.toString(16).toUpperCase().padStart(8, '0');
      await add('timeline-history', `${place}/history/${file}.history`);
    }
  }
  return added;
}

async function readIfSound(
  repository: Repository,
  kind: 'wal-lineage' | 'timeline-history',
  name: string,
): Promise<Buffer | null> {
  try {
    return await repository.getBody(kind, name);
  } catch (error) {
    if (['OBJECT_ABSENT', 'OBJECT_DAMAGED', 'OBJECT_NEWER', 'KEY_EPOCH_ABSENT'].includes(codeOf(error) ?? ''))
      return null;
    throw error;
  }
}

async function healWal(options: HealOptions, inventory: WalInventory): Promise<HealedWal[]> {
  const { repository, source, clock } = options;
  const harmful = await listHarmfulRecords(repository);
  // One that is gone is not among what is stored.
  const all = [...listWalObjects(inventory), ...(await findGoneSegments(repository, inventory))];
  const lost = all.filter(({ objectName }) => harmful.has(damageRecordName(objectName)));
  if (lost.length === 0) return [];
  if (source === undefined) {
    const problem = 'No server was named that may still have it.';
    return lost.map(({ objectName }) => ({ object: objectName, problem }));
  }
  const connection = await connect(source, { replication: 'physical', applicationName: 'holdfast_heal', clock });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => connection.close());
  const sound = withoutObjects(inventory, lost);
  const healed: HealedWal[] = [];
  for (const object of lost) {
    options.signal?.throwIfAborted();
    const problem = await fetchLostWal({ ...options, connection, sound, object }).catch((error: unknown) =>
      whyNot(error, object),
    );
    healed.push({ object: object.objectName, problem });
    options.progress.advance(1);
  }
  return healed;
}

/** The names of the records about objects that somebody needs, or of which that is not known yet. */
async function listHarmfulRecords(repository: Repository): Promise<Set<string>> {
  const known = await listKnownDamage(repository);
  return new Set(
    known.filter(({ note }) => note === null || note.state === 'harmful').map(({ recordName }) => recordName),
  );
}

/** One segment that the server cannot give is no reason to leave the others. */
function whyNot(error: unknown, { objectName }: PlacedWal): string {
  if (error instanceof HoldfastError && error.code === 'PG_SERVER_ERROR')
    return `The server does not give it: ${error.message}.`;
  throw error instanceof Error ? error : new Error(`could not heal ${objectName}`);
}
