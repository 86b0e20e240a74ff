import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { kindPrefix } from '../codec/index.ts';
import { facts, hexId, moment, shortHexId } from '../sealed/index.ts';

const count = z.number().int().nonnegative();
/** As PostgreSQL prints a WAL position. */
const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

export const snapshotRecord = z.object({
  version: z.literal(1),
  id: hexId,
  kind: z.literal('base-backup'),
  /** The name by which the plan knows what was backed up. */
  cluster: z.string().min(1),
  /** The ledger's name for whoever made it. */
  writer: shortHexId,
  startedAt: moment,
  completedAt: moment,
  /** Identity of the root node; regular files and their bytes. */
  tree: z.object({ root: hexId, files: count, bytes: count }),
  /** What was new: chunks, their raw bytes, and the bytes by which packs grew the repository. */
  stored: z.object({ newChunks: count, newBytes: count, storedBytes: count }),
  /** The WAL without which it is worth nothing (rule A13). */
  wal: z.object({
    system: z.string().regex(/^\d+$/),
    lineage: hexId,
    timeline: z.number().int().positive(),
    start: lsn,
    end: lsn,
  }),
  /** What the maker adds about the server. */
  details: facts,
});

/** The record of one completed backup. Times as ISO text with Z, bytes as numbers, WAL positions as text. */
export type SnapshotRecord = z.infer<typeof snapshotRecord>;

/** 32 random bytes as 64 hexadecimal digits. */
export function newSnapshotId(): string {
  return randomBytes(32).toString('hex');
}

export function pendingName(id: string): string {
  return kindPrefix('snapshot-pending') + id;
}

export function committedName(id: string): string {
  return kindPrefix('snapshot-committed') + id;
}
