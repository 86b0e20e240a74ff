import { availableParallelism } from 'node:os';
import type { Clock, Progress } from '../../lib/index.ts';
import type { ConnectionTarget } from '../../postgres/index.ts';
import { attest, commitSnapshot, type Repository, type SnapshotRecord, writePending } from '../../repository/index.ts';
import { encodeLocks, keepLocks, type PlaceLock, proveLocks } from '../locks/index.ts';
import type { ConfigurationGap } from './configuration/index.ts';
import { checkConsistency } from './stages/check-consistency.ts';
import { checkManifest } from './stages/check-manifest.ts';
import { checkServer } from './stages/check-server.ts';
import { composeSnapshot } from './stages/compose-snapshot.ts';
import { keepWal } from './stages/keep-wal.ts';
import { nameDamage, withNames } from './stages/name-damage.ts';
import { nameTablespaces, readTablespaceNames } from './stages/name-tablespaces.ts';
import { noteOtherNames } from './stages/note-other-names.ts';
import { obeyTombstones } from './stages/obey-tombstones.ts';
import { openLater, openRun } from './stages/open-run.ts';
import { openStores } from './stages/open-stores.ts';
import { proveReceivedWal } from './stages/prove-received-wal.ts';
import { receiveFiles } from './stages/receive-files.ts';
import { bringRecord, requireCopies } from './stages/require-copies.ts';
import { secureWal } from './stages/secure-wal.ts';
import { storeTree } from './stages/store-tree.ts';

/** What a base backup needs; everything that is not named has a default with a reason in the plan's schema. */
export interface BackupOptions {
  repository: Repository;
  source: ConnectionTarget;
  /** The name under which the plan knows the PostgreSQL cluster. */
  cluster: string;
  stateDirectory: string;
  clock: Clock;
  progress: Progress;
  /** Shown by the server in `backup_label` and in `pg_stat_progress_basebackup`'s query. */
  label?: string;
  checkpoint?: 'fast' | 'spread';
  /** Kilobytes per second that the server sends at most. */
  maxRate?: number;
  /** Worker threads; one for each core unless said otherwise. */
  workers?: number;
  /** zstd's level, 1 to 19. */
  level?: number;
  signal?: AbortSignal;
}

/** What became of a base backup. Bytes are of files as the server has them; `storedBytes` is what the repository grew by. */
export interface BackupResult {
  snapshot: SnapshotRecord;
  bytes: number;
  storedBytes: number;
  newChunks: number;
  seconds: number;
  /** Whether the server was in recovery. */
  fromStandby: boolean;
  /** What of the server's configuration could not be kept, with the statements that mend it. */
  configurationGaps: readonly ConfigurationGap[];
  /** What the server said about pages whose checksum is wrong; empty when it found none. The snapshot is kept, and marked. */
  checksumFailures: readonly string[];
  /** Until when each place with locks keeps all of it untouchable; empty where no place keeps locks. */
  locks: readonly PlaceLock[];
}

/**
 * Takes a base backup of a running server over the replication protocol and commits it as a snapshot.
 *
 * The order is that of `docs/design.md` 10, each step durable before the next, and steps that need nothing of each other at the same time: whoever
 * stops in between leaves a repository in which the snapshot is not listed, and nothing that an older snapshot needs has changed.
 */
export async function runBackup(options: BackupOptions): Promise<BackupResult> {
  const { repository, cluster, clock, progress } = options;
  const begun = clock.monotonic();
  const startedAt = clock.now();
  const workers = options.workers ?? availableParallelism();
  const level = options.level ?? repository.format.compression.level;
  await using cleanup = new AsyncDisposableStack();

  // A place that cannot keep the locks that were asked of it is refused while nothing is written yet.
  await proveLocks(repository, progress);
  const { lease, ledger, connection } = await openRun(options, cleanup);
  // Of several servers that may be named, whatever else is asked or streamed comes from the one that sends the files.
  const here = { ...options, source: connection.target };
  const server = await checkServer(connection);
  // The index is loaded under the lease, while the way of the WAL is settled.
  const opening = openStores({ repository, workers, level });
  const storesLater = openLater(cleanup, opening, async (stores) => stores[Symbol.asyncDispose]());
  const noting = noteOtherNames({ repository, progress, system: server.identity.systemId, cluster });
  noting.catch(() => {}); // Awaited below, unless something before it fails.
  // The receiver of WAL stands before the backup begins: what the server writes from the start position on must not escape it.
  const wal = cleanup.use(await secureWal({ ...here, server }));
  const stores = await storesLater;
  await noting;

  const slot = await keepWal(connection, { server, cluster });
  const before = await readTablespaceNames(here);

  const received = await receiveFiles({ ...here, connection, server, stores });
  checkManifest(received);
  checkConsistency(received, server);
  const securing = proveReceivedWal({ ...here, connection, server, slot, received, wal });
  securing.catch(() => {}); // Awaited below, unless something before it fails.
  const tablespaces = await nameTablespaces({ ...here, before, received });
  const damagedFiles = await nameDamage({ ...here, failures: received.checksumFailures });
  const checksumFailures = withNames(received.checksumFailures, damagedFiles);
  const tree = await storeTree({ stores, entries: received.entries });
  const snapshot = composeSnapshot({
    ...options,
    server,
    received,
    tree,
    stores,
    lineage: wal.lineage,
    ledger,
    startedAt,
    tablespaces,
    checksumFailures,
    damagedFiles,
  });
  await writePending(repository, snapshot);
  await obeyTombstones({ repository, stores, snapshot });
  progress.begin('waiting for WAL');
  // Rule A13: a snapshot without the WAL of its own range cannot be restored, so it is not listed before that is durable.
  await securing;
  await requireCopies({ ...here, snapshot });
  // What an older backup stored may be about to lose its lock: whoever counts on it extends it first.
  const locks = await keepLocks({ ...here, snapshot, packs: stores.index.listPacksCountedOn() });
  lease.assertHeld();
  await commitSnapshot(repository, snapshot);

  const facts = { wal: snapshot.wal, ...(locks.length === 0 ? {} : { locks: encodeLocks(locks) }) };
  const done = { cluster, bytes: received.bytes };
  // What is committed needs none of these, and none of them another.
  await Promise.all([
    attest(repository, { snapshot: snapshot.id, level: 'stored', facts }),
    ledger.append({ action: 'backup', outcome: 'done', subject: snapshot.id, facts: done }),
    lease.release(),
    bringRecord(repository, snapshot, progress),
  ]);
  return {
    snapshot,
    bytes: received.bytes,
    storedBytes: snapshot.stored.storedBytes,
    newChunks: snapshot.stored.newChunks,
    seconds: (clock.monotonic() - begun) / 1000,
    fromStandby: server.isStandby,
    configurationGaps: received.configuration.gaps,
    checksumFailures,
    locks,
  };
}
