import { ByteReader, ByteWriter, VarintReader, VarintWriter } from '../../../lib/index.ts';
import { type BlockReference, type ChangeSet, ChangeSetMerger, type ForkChanges, type ForkName } from './change-set.ts';

/** What is known of the record that begins in a segment and ends behind it. */
export type OpenRecord =
  /** There is none. */
  | { readonly kind: 'none' }
  /** The blocks that it names, if it was ever completed. */
  | { readonly kind: 'known'; readonly references: readonly BlockReference[] }
  /** Its bytes that are there do not tell; the LSN is 0 when it began where nobody saw it. */
  | { readonly kind: 'unknown'; readonly lsn: bigint };

/** The change set of one segment, or of several that follow each other: of every record that ends in them. */
export interface SegmentChanges {
  /** The number of the first segment, counted from LSN 0. */
  readonly first: bigint;
  readonly segments: number;
  readonly timeline: number;
  /** False when a record ends here whose beginning was not seen: what it changes is known from the segment before, or not at all. */
  readonly isHeadKnown: boolean;
  readonly tail: OpenRecord;
  /** True when `wal_level` was `minimal` for a while: then there are changes of which WAL says nothing. */
  readonly hasMinimal: boolean;
  readonly set: ChangeSet;
}

const VERSION = 1;
const HEAD_KNOWN = 1;
const MINIMAL = 2;
const TAIL_KINDS = ['none', 'known', 'unknown'] as const;

/**
 * Shape: u8 version 1 · u8 flags (1 head known, 2 minimal) · u8 tail (0 none, 1 known, 2 unknown) · u8 zero · u32 timeline · u64 first segment ·
 *        u32 segments · u64 LSN of an unknown tail · varints: forks, then each: tablespace, database, relation, fork, limit + 1 (0: none), runs,
 *        then for each run twice the distance from the end of the one before, plus 1 when a second varint follows: its length - 2 · with a known
 *        tail, its references: count, then each tablespace, database, relation, fork, block.
 */
export function encodeSegmentChanges(changes: SegmentChanges): Buffer {
  const { tail } = changes;
  const varints = new VarintWriter().unsigned(changes.set.length);
  for (const fork of changes.set) writeFork(varints, fork);
  if (tail.kind === 'known') {
    varints.unsigned(tail.references.length);
    for (const reference of tail.references) writeName(varints, reference).unsigned(reference.block);
  }
  return new ByteWriter()
    .u8(VERSION)
    .u8((changes.isHeadKnown ? HEAD_KNOWN : 0) | (changes.hasMinimal ? MINIMAL : 0))
    .u8(TAIL_KINDS.indexOf(tail.kind))
    .u8(0)
    .u32(changes.timeline)
    .u64(changes.first)
    .u32(changes.segments)
    .u64(tail.kind === 'unknown' ? tail.lsn : 0n)
    .bytes(varints.finish())
    .finish();
}

/** Reads what `encodeSegmentChanges` wrote; null for what another version wrote. Errors: BYTES_TRUNCATED. */
export function decodeSegmentChanges(bytes: Buffer): SegmentChanges | null {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) return null;
  const flags = reader.u8();
  const kind = TAIL_KINDS[reader.u8()];
  reader.u8();
  const timeline = reader.u32();
  const first = reader.u64();
  const segments = reader.u32();
  const lsn = reader.u64();
  if (kind === undefined) return null;
  const varints = new VarintReader(reader.bytes(reader.remaining));
  const set = varints.list(() => readFork(varints));
  const tail: OpenRecord =
    kind === 'none'
      ? { kind }
      : kind === 'unknown'
        ? { kind, lsn }
        : { kind, references: varints.list(() => ({ ...readName(varints), block: varints.unsigned() })) };
  const hasMinimal = (flags & MINIMAL) !== 0;
  return { first, segments, timeline, isHeadKnown: (flags & HEAD_KNOWN) !== 0, tail, hasMinimal, set };
}

/** One for consecutive ones, in their order; null when they are not consecutive, or when what lies over a border between two is not known. */
export function uniteSegmentChanges(parts: readonly SegmentChanges[]): SegmentChanges | null {
  const [first] = parts;
  const merger = new ChangeSetMerger();
  let before: SegmentChanges | null = null;
  for (const part of parts) {
    if (before !== null) {
      if (before.first + BigInt(before.segments) !== part.first || before.timeline !== part.timeline) return null;
      if (!part.isHeadKnown) {
        if (before.tail.kind !== 'known') return null;
        merger.addReferences(before.tail.references);
      }
    }
    merger.add(part.set);
    before = part;
  }
  if (first === undefined || before === null) return null;
  return {
    ...{ first: first.first, timeline: first.timeline, isHeadKnown: first.isHeadKnown, tail: before.tail },
    segments: parts.reduce((sum, { segments }) => sum + segments, 0),
    hasMinimal: parts.some((part) => part.hasMinimal),
    set: merger.finish(),
  };
}

function writeName(writer: VarintWriter, name: ForkName): VarintWriter {
  return writer
    .unsigned(name.tablespaceOid)
    .unsigned(name.databaseOid)
    .unsigned(name.relationNumber)
    .unsigned(name.fork);
}

function readName(reader: VarintReader): ForkName {
  return {
    tablespaceOid: reader.unsigned(),
    databaseOid: reader.unsigned(),
    relationNumber: reader.unsigned(),
    fork: reader.unsigned(),
  };
}

function writeFork(writer: VarintWriter, fork: ForkChanges): void {
  const { blocks, limit } = fork;
  writeName(writer, fork).unsigned(limit === null ? 0 : limit + 1);
  let runs = 0;
  for (let i = 0; i < blocks.length; i++) if (i === 0 || blocks[i] !== (blocks[i - 1] as number) + 1) runs += 1;
  writer.unsigned(runs);
  for (let from = 0, end = 0; from < blocks.length; ) {
    let to = from + 1;
    while (to < blocks.length && blocks[to] === (blocks[to - 1] as number) + 1) to += 1;
    const first = blocks[from] as number;
    writer.unsigned((first - end) * 2 + (to - from > 1 ? 1 : 0));
    if (to - from > 1) writer.unsigned(to - from - 2);
    end = first + (to - from);
    from = to;
  }
}

function readFork(reader: VarintReader): ForkChanges {
  const name = readName(reader);
  const limit = reader.unsigned();
  let end = 0;
  let count = 0;
  const runs = reader.list(() => {
    const distance = reader.unsigned();
    const length = distance % 2 === 1 ? reader.unsigned() + 2 : 1;
    const from = end + Math.floor(distance / 2);
    end = from + length;
    count += length;
    return { from, length };
  });
  const blocks = new Uint32Array(count);
  let at = 0;
  for (const { from, length } of runs) for (let i = 0; i < length; i++) blocks[at++] = from + i;
  return { ...name, limit: limit === 0 ? null : limit - 1, blocks };
}
