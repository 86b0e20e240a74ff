import { z } from 'zod';
import { parseLsn, parseServerVersion } from '../postgres/index.ts';
import type { SnapshotRecord } from '../repository/index.ts';
import type { StoredTablespace } from './tablespaces.ts';
import type { BackupPlace } from './wal-route.ts';

/** What a restore has to know of a snapshot. */
export interface SnapshotFacts extends BackupPlace {
  readonly id: string;
  readonly cluster: string;
  /** The server's system identifier. */
  readonly system: string;
  /** By the clock of whoever took the backup, in milliseconds since 1970. */
  readonly completedAt: number;
  /** 64 hexadecimal digits. */
  readonly treeRoot: string;
  readonly files: number;
  readonly bytes: number;
  readonly serverMajor: number;
  readonly tablespaces: readonly StoredTablespace[];
  /** What the server said of pages with wrong checksums while it was backed up. */
  readonly checksumFailures: readonly string[];
}

const details = z.object({
  serverVersion: z.string(),
  tablespaces: z.array(z.object({ oid: z.number(), path: z.string(), name: z.string().optional() })).default([]),
  checksumFailures: z.array(z.string()).default([]),
});

/** Reads the parts of a snapshot's record that a restore needs. Errors: a `ZodError` when the server's part is not what a base backup writes. */
export function readSnapshotFacts(record: SnapshotRecord): SnapshotFacts {
  const { serverVersion, tablespaces, checksumFailures } = details.parse(record.details);
  return {
    id: record.id,
    cluster: record.cluster,
    system: record.wal.system,
    lineage: record.wal.lineage,
    timeline: record.wal.timeline,
    start: parseLsn(record.wal.start),
    end: parseLsn(record.wal.end),
    completedAt: Date.parse(record.completedAt),
    treeRoot: record.tree.root,
    files: record.tree.files,
    bytes: record.tree.bytes,
    serverMajor: parseServerVersion(serverVersion).major,
    tablespaces,
    checksumFailures,
  };
}

/** So many digits of a snapshot's id are shown. */
const ID_DIGITS_SHOWN = 12;

export function shortId(id: string): string {
  return id.slice(0, ID_DIGITS_SHOWN);
}
