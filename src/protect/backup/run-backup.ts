import { availableParallelism } from 'node:os';
import type { Clock, Progress } from '../../lib/index.ts';
import type { ConnectionTarget } from '../../postgres/index.ts';
import { attest, commitSnapshot, type Repository, type SnapshotRecord, writePending } from '../../repository/index.ts';
import { encodeLocks, keepLocks, type PlaceLock, proveLocks } from '../locks/index.ts';
import { noteFollowed } from '../wal/index.ts';
import type { ConfigurationGap } from './configuration/index.ts';
import type { ReadingDone } from './reading-done.ts';
import type { CastDoubt } from './stages/cast-doubt.ts';
import { checkConsistency } from './stages/check-consistency.ts';
import { checkManifest } from './stages/check-manifest.ts';
import { checkServer } from './stages/check-server.ts';
import { type BackupType, chooseReading } from './stages/choose-reading.ts';
import { type ComparedWithOlder, compareWithOlder } from './stages/compare-with-older.ts';
import { composeSnapshot } from './stages/compose-snapshot.ts';
import { keepWal } from './stages/keep-wal.ts';
import { nameDamage, withNames } from './stages/name-damage.ts';
import { nameTablespaces, readTablespaceNames } from './stages/name-tablespaces.ts';
import { noteOtherNames } from './stages/note-other-names.ts';
import { obeyTombstones } from './stages/obey-tombstones.ts';
import { openDirect } from './stages/open-direct.ts';
import { openLater, openRun } from './stages/open-run.ts';
import { openStores } from './stages/open-stores.ts';
import { proveReceivedWal } from './stages/prove-received-wal.ts';
import { readFiles } from './stages/read-files.ts';
import { bringRecord, requireCopies } from './stages/require-copies.ts';
import { secureWal } from './stages/secure-wal.ts';
import { shareDoubt } from './stages/share-doubt.ts';
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
  /** Words by which rules of retention know it. */
  tags?: readonly string[];
  /** `spread`, unless said otherwise: the server takes minutes over its checkpoint. `fast`: at once, with a burst of writes. */
  checkpoint?: 'fast' | 'spread';
  /** `incremental`, unless said otherwise: have the server send what changed, where it can. `full`: read everything. */
  type?: BackupType;
  /** Read the server's files from the disk of this machine, instead of having it send them. */
  direct?: boolean;
  /** Kilobytes per second that the server sends at most. */
  maxRate?: number;
  /** Worker threads; one for each core unless said otherwise. */
  workers?: number;
  /** zstd's level, 1 to 19. */
  level?: number;
  /** Whether the worker threads give way to all other programs of this machine. */
  lowPriority?: boolean;
  signal?: AbortSignal;
  /**
   * The copy that `repository` is, with the other copies as its own, while the primary is away (`docs/copies.md`). The snapshot bears the name, and is
   * brought to the primary by `bringHome`.
   */
  takenIn?: string;
}

/** What became of a base backup. Bytes are of files as the server has them; `storedBytes` is what the repository grew by. */
export interface BackupResult {
  snapshot: SnapshotRecord;
  bytes: number;
  /** Bytes that were read from the server or its disk. */
  readBytes: number;
  /** Whether only changes were read, since which snapshot, and why not if they were not. */
  reading: ReadingDone;
  storedBytes: number;
  newChunks: number;
  seconds: number;
  /** Whether the server was in recovery. */
  fromStandby: boolean;
  /** What of the server's configuration could not be kept, with the statements that mend it. */
  configurationGaps: readonly ConfigurationGap[];
  /** What the increment that was tried lacked, or the backup before, and which snapshots are doubtful for it; null when nothing was found. */
  doubt: CastDoubt | null;
  /** What came of holding all that was read against the backup before; null when there was none, or not everything was read. */
  compared: ComparedWithOlder['compared'];
  /** What the server said about pages whose checksum is wrong; empty when it found none. The snapshot is kept, and marked. */
  checksumFailures: readonly string[];
  /** Until when each place with locks keeps all of it untouchable; empty where no place keeps locks. */
  locks: readonly PlaceLock[];
}

/**
 * Takes a base backup of a running server, over the replication protocol or from its disk, and commits it as a snapshot.
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
  const here = { ...options, checkpoint: options.checkpoint ?? 'spread', source: connection.target };
  const server = await checkServer(connection);
  // Whoever may not read the files here learns it before anything is written.
  const direct = options.direct === true ? cleanup.use(await openDirect({ ...here, server })) : null;
  const type = direct === null ? (options.type ?? 'incremental') : 'full';
  const lowPriority = options.lowPriority ?? false;
  // Most increments bring so little that a thread would cost more than it saves. The main thread does not give way to other programs.
  const threads = type === 'incremental' && !lowPriority ? 'when-needed' : 'at-once';
  // The index is loaded under the lease, while the way of the WAL is settled.
  const opening = openStores({ repository, lease, workers, level, lowPriority, threads });
  const storesLater = openLater(cleanup, opening, async (stores) => stores[Symbol.asyncDispose]());
  const noting = noteOtherNames({ repository, progress, system: server.identity.systemId, cluster });
  noting.catch(() => {}); // Awaited below, unless something before it fails.
  // The receiver of WAL stands before the backup begins: what the server writes from the start position on must not escape it.
  const wal = cleanup.use(await secureWal({ ...here, server }));
  const stores = await storesLater;
  await noting;

  const { lineage } = wal;
  const choosing = chooseReading({ repository, stores, server, cluster, wal, type });
  choosing.catch(() => {}); // Awaited below, unless something before it fails.
  const slotBefore = await keepWal(connection, { server, cluster });
  const before = await readTablespaceNames(here);

  const way = { ...here, connection, server, stores, lineage, workers, direct, wal, ledger, slot: slotBefore };
  const { received, reading, doubt, slot } = await readFiles({ ...way, reading: await choosing });
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
    reading,
    tree,
    stores,
    lineage,
    ledger,
    startedAt,
    tablespaces,
    checksumFailures,
    damagedFiles,
  });
  await writePending(repository, snapshot);
  await obeyTombstones({ repository, stores, snapshot, lease, known: stores.index.announced });
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
  // What is committed needs none of these, and none of them another; but nobody may stand on an increment before it shares the doubt of its base.
  const stated = attest(repository, { snapshot: snapshot.id, level: 'stored', facts });
  const [shared] = await Promise.all([
    stated.then(() => (reading.manner === 'increment' ? shareDoubt({ ...here, ledger, snapshot, reading }) : null)),
    ledger.append({ action: 'backup', outcome: 'done', subject: snapshot.id, facts: done }),
    lease.release(),
    bringRecord(repository, snapshot, progress),
  ]);
  if (options.takenIn === undefined) await noteFollowed(options.stateDirectory, repository.id, snapshot);
  const known = doubt ?? shared;
  const older =
    known === null ? await compareWithOlder({ ...here, stores, ledger, snapshot }) : { compared: null, doubt: known };
  return {
    snapshot,
    bytes: received.bytes,
    readBytes: received.readBytes,
    reading,
    ...older,
    storedBytes: snapshot.stored.storedBytes,
    newChunks: snapshot.stored.newChunks,
    seconds: (clock.monotonic() - begun) / 1000,
    fromStandby: server.isStandby,
    configurationGaps: received.configuration.gaps,
    checksumFailures,
    locks,
  };
}
