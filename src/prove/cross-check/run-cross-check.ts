import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openLedger } from '../../ledger/index.ts';
import { assert, type Clock, HoldfastError, messageOf, type Progress } from '../../lib/index.ts';
import { parseLsn } from '../../postgres/index.ts';
import { type CrossCheck, compareSnapshots, recordDoubt, whyNoBlockNumbersOf } from '../../protect/backup/index.ts';
import { readWalInventory } from '../../protect/wal/index.ts';
import type { Repository, SnapshotRecord } from '../../repository/index.ts';
import { type RecoveryTarget, runRestore, type StartOptions } from '../../restore/index.ts';
import type { ComparisonPair } from './choose-comparison.ts';
import { compareDirectories } from './compare-directories.ts';

/** Where the two are restored, and how their servers are started. */
export interface ReplayOptions {
  /** An existing directory with room for both; what is made in it is removed again. */
  readonly scratch: string;
  readonly start: StartOptions;
}

export interface CrossCheckOptions extends ComparisonPair {
  readonly repository: Repository;
  readonly stateDirectory: string;
  /** Null: only what the repository has of both is compared, and nothing is restored. */
  readonly replay: ReplayOptions | null;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  readonly workers?: number;
}

/** What came of it. */
export interface CrossCheckResult extends ComparisonPair {
  readonly check: CrossCheck;
  /** The position to which both were replayed; null when nothing was restored. */
  readonly reachedLsn: bigint | null;
  /** Snapshots that were attested doubtful. */
  readonly doubtful: readonly string[];
}

/**
 * Holds two snapshots of one server against each other. A difference casts doubt on the older one and on what was built on it; either outcome goes into
 * the ledger.
 *
 * Errors: those of a restore; those of the store.
 */
export async function crossCheck(options: CrossCheckOptions): Promise<CrossCheckResult> {
  const { repository, older, newer } = options;
  const why = whyNoBlockNumbersOf(older) ?? whyNoBlockNumbersOf(newer);
  const { check, reachedLsn } = why === null ? await compare(options) : notCompared(why);
  const pair = { older, newer };
  if (check.kind === 'not-known') return { ...pair, check, reachedLsn, doubtful: [] };
  const ledger = await openLedger(repository, options.stateDirectory);
  if (check.kind === 'differs') {
    return { ...pair, check, reachedLsn, doubtful: await recordDoubt(repository, ledger, older, check.findings) };
  }
  const facts = { with: older.id, blocks: check.blocks };
  await ledger.append({ action: 'cross-check', outcome: 'done', subject: newer.id, facts });
  return { ...pair, check, reachedLsn, doubtful: [] };
}

interface Compared {
  readonly check: CrossCheck;
  readonly reachedLsn: bigint | null;
}

async function compare(options: CrossCheckOptions): Promise<Compared> {
  const { replay } = options;
  return replay === null ? { check: await compareStored(options), reachedLsn: null } : compareReplayed(options, replay);
}

function notCompared(reason: string): Compared {
  return { check: { kind: 'not-known', reason }, reachedLsn: null };
}

async function compareStored({ repository, older, newer, progress }: CrossCheckOptions): Promise<CrossCheck> {
  progress.begin('comparing pages that no WAL changed');
  const inventory = await readWalInventory(repository, newer.wal.system);
  const index = await repository.loadIndex();
  try {
    const { readChunk } = repository.openChunkReader(index);
    return await compareSnapshots({ repository, inventory, older, newer, readChunk });
  } finally {
    index.close();
  }
}

/**
 * Restores the newer one to where it is consistent, the older one to the very same position, stops both servers and compares what they left.
 *
 * Both are promoted by then; that writes no page of a relation that is compared.
 */
async function compareReplayed(
  options: CrossCheckOptions,
  { scratch, start }: ReplayOptions,
): Promise<{ check: CrossCheck; reachedLsn: bigint }> {
  const { older, newer, progress, signal } = options;
  const directory = await makePlace(scratch);
  try {
    // The user of the servers, who is not root, has to get through to what is restored in it.
    await chmod(directory, 0o711);
    const places = { older: join(directory, 'older'), newer: join(directory, 'newer') };
    const reached = await restoreTo(options, start, {
      snapshot: newer,
      into: places.newer,
      target: { kind: 'immediate' },
    });
    const { recordLsn: lsn, inclusive } = reached;
    const target = inclusive ? ({ kind: 'lsn', lsn } as const) : ({ kind: 'before', lsn } as const);
    const other = await restoreTo(options, start, { snapshot: older, into: places.older, target });
    assert(other.reachedLsn === reached.reachedLsn, 'both servers replayed to the same position');
    progress.begin('comparing pages');
    const { pages, count, first } = await compareDirectories(places.older, places.newer, {
      reachedLsn: reached.reachedLsn,
      signal,
    });
    const range = { from: parseLsn(older.wal.start), to: reached.reachedLsn };
    const check: CrossCheck =
      count === 0 ? { kind: 'agrees', blocks: pages } : { kind: 'differs', findings: { ...range, count, first } };
    return { check, reachedLsn: reached.reachedLsn };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function makePlace(scratch: string): Promise<string> {
  try {
    await mkdir(scratch, { recursive: true });
    return await mkdtemp(join(scratch, 'holdfast-cross-check-'));
  } catch (error) {
    throw new HoldfastError('CROSS_CHECK_IMPOSSIBLE', `could not make a directory in "${scratch}"`, {
      detail: messageOf(error),
      hints: ['Name another directory with --scratch, which needs room for two restores.'],
      cause: error,
    });
  }
}

async function restoreTo(
  { repository, stateDirectory, clock, progress, signal, workers }: CrossCheckOptions,
  start: StartOptions,
  { snapshot, into, target }: { snapshot: SnapshotRecord; into: string; target: RecoveryTarget },
): Promise<{ recordLsn: bigint; inclusive: boolean; reachedLsn: bigint }> {
  const { cluster, id, wal } = snapshot;
  const { instance, proposal } = await runRestore({
    ...{ repository, stateDirectory, clock, progress, into, target, start, cluster },
    ...{ snapshot: id, lineage: wal.lineage, timeline: wal.timeline },
    tablespaces: { mappings: [], into: `${into}-tablespaces` },
    ...(signal === undefined ? {} : { signal }),
    ...(workers === undefined ? {} : { workers }),
  });
  await instance!.stop();
  return proposal.target;
}
