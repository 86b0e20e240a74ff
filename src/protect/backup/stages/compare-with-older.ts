import type { LedgerWriter } from '../../../ledger/index.ts';
import { type Clock, HoldfastError, type Progress, withHint } from '../../../lib/index.ts';
import type { ConnectionTarget } from '../../../postgres/index.ts';
import { ChunkReader, type Repository, type SnapshotRecord } from '../../../repository/index.ts';
import { readWalInventory } from '../../wal/index.ts';
import { type CrossCheck, compareSnapshots } from '../cross-check/index.ts';
import { whyNoBlockNumbersOf } from '../file-size.ts';
import { readingOf } from '../reading-done.ts';
import { type CastDoubt, castDoubt } from './cast-doubt.ts';
import type { BackupStores } from './open-stores.ts';

/** What came of comparing: so many pages were looked at, or why none; and what was found against the older snapshot. */
export interface ComparedWithOlder {
  readonly compared: { readonly blocks: number | null; readonly why: string | null } | null;
  readonly doubt: CastDoubt | null;
}

const NOTHING: ComparedWithOlder = { compared: null, doubt: null };

/**
 * Holds a snapshot for which everything was read against the older one over whose maps it was written (rule A9). The new one is committed by now, and
 * is sound whatever comes out: what is wrong is wrong in the older.
 *
 * Never fails for what keeps it from comparing: that is told as the reason. Errors: those of the store where what was found cannot be recorded.
 */
export async function compareWithOlder(options: {
  repository: Repository;
  stores: BackupStores;
  ledger: LedgerWriter;
  source: ConnectionTarget;
  clock: Clock;
  progress: Progress;
  snapshot: SnapshotRecord;
}): Promise<ComparedWithOlder> {
  const { ledger, progress, snapshot } = options;
  const reading = readingOf(snapshot);
  if (reading?.manner !== 'everything' || reading.over === null) return NOTHING;
  progress.begin('comparing with the backup before');
  const compared = await findAndCompare(options, reading.over);
  if ('why' in compared) return { compared, doubt: null };
  const { older, check } = compared;
  if (check.kind === 'not-known') return { compared: { blocks: null, why: check.reason }, doubt: null };
  if (check.kind === 'differs') {
    const doubt = await castDoubt({ ...options, base: older, findings: check.findings }).catch((error: unknown) => {
      throw error instanceof HoldfastError ? withHint(error, compareAgain(older, snapshot)) : error;
    });
    return { compared: { blocks: check.findings.count, why: null }, doubt };
  }
  const facts = { with: older.id, blocks: check.blocks };
  await ledger.append({ action: 'cross-check', outcome: 'done', subject: snapshot.id, facts });
  return { compared: { blocks: check.blocks, why: null }, doubt: null };
}

/** The backup is listed, and the next one is compared with it: nothing else would find this again. */
function compareAgain(older: SnapshotRecord, newer: SnapshotRecord): string {
  const [one, other] = [older, newer].map(({ id }) => id.slice(0, 12));
  return `Snapshot ${other} is made, and snapshot ${one} does not agree with it, which could not be recorded: run \`holdfast cross-check --stored ${one} ${other}\`, which records it.`;
}

/** What came of comparing with the older one, or why there was nothing to compare. */
type Compared =
  | { readonly older: SnapshotRecord; readonly check: CrossCheck }
  | { readonly blocks: null; readonly why: string };

async function findAndCompare(
  options: { repository: Repository; stores: BackupStores; snapshot: SnapshotRecord },
  over: string,
): Promise<Compared> {
  const why = whyNoBlockNumbersOf(options.snapshot);
  if (why !== null) return { blocks: null, why };
  try {
    const { snapshots } = await options.repository.listSnapshots();
    const older = snapshots.find(({ id }) => id === over);
    if (older === undefined) return { blocks: null, why: 'the backup before is no longer listed' };
    return { older, check: await compare(options, older) };
  } catch (error) {
    // The backup is made. What cannot be read of the older one is found and told by `verify`, and by a restore.
    if (!(error instanceof HoldfastError) || error.code === 'STORE_SYNC_FAILED') throw error;
    return { blocks: null, why: error.message };
  }
}

async function compare(
  { repository, stores, snapshot: newer }: { repository: Repository; stores: BackupStores; snapshot: SnapshotRecord },
  older: SnapshotRecord,
): Promise<CrossCheck> {
  const { store, keys } = repository;
  const { readChunk } = new ChunkReader({ store, keys, index: stores.index });
  const inventory = await readWalInventory(repository, newer.wal.system);
  return compareSnapshots({ repository, inventory, older, newer, readChunk });
}
