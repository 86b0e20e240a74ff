import { assert } from '../../lib/index.ts';

/** What a sealed object is, with the byte in its header and the place where objects of its kind lie. */
const kinds = {
  'data-pack': { byte: 1, prefix: 'packs/' },
  'tree-pack': { byte: 2, prefix: 'packs/' },
  index: { byte: 3, prefix: 'index/' },
  'snapshot-pending': { byte: 4, prefix: 'snapshots/pending/' },
  'snapshot-committed': { byte: 5, prefix: 'snapshots/committed/' },
  'wal-lineage': { byte: 6, prefix: 'wal/' },
  'wal-segment': { byte: 7, prefix: 'wal/' },
  'wal-fragment': { byte: 8, prefix: 'wal/' },
  'timeline-history': { byte: 9, prefix: 'wal/' },
  attestation: { byte: 10, prefix: 'attest/' },
  damage: { byte: 11, prefix: 'damage/' },
  tombstone: { byte: 12, prefix: 'tombstones/' },
  hold: { byte: 13, prefix: 'holds/' },
  run: { byte: 14, prefix: 'runs/' },
  ledger: { byte: 15, prefix: 'ledger/' },
  erasure: { byte: 16, prefix: 'erasure/' },
  lease: { byte: 17, prefix: 'volatile/leases/' },
  status: { byte: 18, prefix: 'volatile/status/' },
  'wal-landmarks': { byte: 19, prefix: 'wal/' },
  'wal-landmark-summary': { byte: 20, prefix: 'wal/' },
  'wal-changes': { byte: 21, prefix: 'wal/' },
  'snapshot-forgotten': { byte: 22, prefix: 'snapshots/forgotten/' },
} as const;

/** Every kind that has an envelope. */
export type EnvelopeKind = keyof typeof kinds;

/** The kinds that are packs: many chunks, read by ranges. */
export type PackKind = 'data-pack' | 'tree-pack';

/** The kinds that are one sealed body, read whole. */
export type ObjectKind = Exclude<EnvelopeKind, PackKind>;

export function kindByte(kind: EnvelopeKind): number {
  return kinds[kind].byte;
}

/** The beginning of every name of this kind, with its slash. */
export function kindPrefix(kind: EnvelopeKind): string {
  return kinds[kind].prefix;
}

/** The kind whose byte stands in a header, `undefined` for a byte that this version does not know. */
export function kindOfByte(byte: number): EnvelopeKind | undefined {
  return kindsByByte.get(byte);
}

const kindsByByte = new Map<number, EnvelopeKind>(
  Object.entries(kinds).map(([kind, { byte }]) => [byte, kind as EnvelopeKind]),
);
assert(kindsByByte.size === Object.keys(kinds).length, 'no two kinds share a byte');
