import { createHash } from 'node:crypto';
import type { PlacedWal } from './wal-check.ts';

/** WAL that is read besides that of snapshots. */
export type WalScope =
  | { readonly kind: 'range'; readonly cluster?: string; readonly from: bigint; readonly to: bigint }
  /** What the store took since this moment, in its own time (milliseconds since 1970). */
  | { readonly kind: 'since'; readonly cluster?: string; readonly since: number };

/** A part of the packs and WAL in scope, chosen by a seed: the same seed chooses the same objects. */
export interface Sample {
  /** Above 0, up to 100. */
  readonly percent: number;
  readonly seed: number;
}

/** Whether an object belongs to the sample. It depends on its name alone, not on what else is there. */
export function isSampled(sample: Sample | undefined, name: string): boolean {
  if (sample === undefined || sample.percent >= 100) return true;
  const hash = createHash('sha256').update(`${sample.seed} ${name}`, 'utf8').digest();
  return hash.readUInt32LE(0) / 2 ** 32 < sample.percent / 100;
}

/** Whether an object lies in a scope; `storedAt` is when the store took it. */
export function isInWalScope(scope: WalScope, object: PlacedWal, storedAt: number): boolean {
  if (scope.cluster !== undefined && object.lineage.header.cluster !== scope.cluster) return false;
  return scope.kind === 'since' ? storedAt >= scope.since : object.start < scope.to && object.end > scope.from;
}
