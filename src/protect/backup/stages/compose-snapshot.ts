import type { LedgerWriter } from '../../../ledger/index.ts';
import type { Clock } from '../../../lib/index.ts';
import { formatLsn } from '../../../postgres/index.ts';
import { newSnapshotId, type SnapshotRecord, type TreeSummary } from '../../../repository/index.ts';
import { describeKept } from '../configuration/index.ts';
import type { ReadingDone } from '../reading-done.ts';
import type { CheckedServer } from './check-server.ts';
import type { DamagedFile } from './name-damage.ts';
import type { KeptTablespace } from './name-tablespaces.ts';
import type { BackupStores } from './open-stores.ts';
import type { ReceivedFiles } from './receive-files.ts';

/** Puts together the record of the backup; nothing is written here. */
export function composeSnapshot(options: {
  server: CheckedServer;
  received: ReceivedFiles;
  reading: ReadingDone;
  tree: TreeSummary;
  stores: BackupStores;
  lineage: string;
  cluster: string;
  ledger: LedgerWriter;
  startedAt: number;
  tablespaces: readonly KeptTablespace[];
  /** What the server said of pages with wrong checksums, with the names of the relations, and these files one by one. */
  checksumFailures: readonly string[];
  damagedFiles: readonly DamagedFile[];
  clock: Clock;
  takenIn?: string;
  tags?: readonly string[];
}): SnapshotRecord {
  const { server, received, tree, stores } = options;
  const { stored } = received;
  return {
    version: 1,
    id: newSnapshotId(),
    kind: 'base-backup',
    cluster: options.cluster,
    writer: options.ledger.writer,
    startedAt: new Date(options.startedAt).toISOString(),
    completedAt: new Date(options.clock.now()).toISOString(),
    tree,
    stored: {
      newChunks: stored.newChunks + stores.tree.newChunks,
      newBytes: stored.newBytes + stores.tree.newBytes,
      storedBytes: stored.storedBytes + stores.tree.storedBytes,
    },
    wal: {
      system: server.identity.systemId,
      lineage: options.lineage,
      timeline: received.start.timeline,
      start: formatLsn(received.start.startLsn),
      end: formatLsn(received.endLsn),
    },
    details: {
      serverVersion: server.version.text,
      segmentSize: server.segmentSize,
      backupLabel: received.backupLabel,
      fromStandby: server.isStandby,
      reading: options.reading,
      settings: server.settings,
      configuration: describeKept(received.configuration),
      tablespaces: [...options.tablespaces],
      checksumFailures: [...options.checksumFailures],
      damagedFiles: [...options.damagedFiles],
      ...(options.takenIn === undefined ? {} : { takenIn: options.takenIn }),
      ...(options.tags === undefined || options.tags.length === 0 ? {} : { tags: [...new Set(options.tags)] }),
    },
  };
}
