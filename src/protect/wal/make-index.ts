import { HoldfastError, messageOf } from '../../lib/index.ts';
import { formatLsn, parseSegmentName } from '../../postgres/index.ts';
import type { Repository } from '../../repository/index.ts';
import { CHANGES_LEVEL_MAX, changesObjectName, segmentsOfLevel, uniteChanges } from './changes/index.ts';
import type { LineageInventory, StoredSegment } from './inventory.ts';
import {
  FAN_OUT,
  type IndexPlace,
  indexObjectName,
  LEVEL_MAX,
  putBlock,
  readBlockBefore,
  rollUp,
  rollUpLevel,
} from './landmarks/index.ts';
import { landmarksObjectName, landmarksPrefix, parseWalObjectName } from './object-names.ts';
import { type CollectedSegment, SegmentChecker } from './receiver/segment-checker.ts';
import { isWalDamage, readWalObject } from './stored-wal.ts';

/** What shall be indexed. */
export interface MakeIndexOptions {
  readonly repository: Repository;
  readonly lineage: LineageInventory;
  /** Only the newest so many segments of each timeline are looked at; all when not given. */
  readonly newest?: number;
  readonly signal?: AbortSignal;
  /** Is told of each segment that was read. */
  readonly onSegment?: (segmentName: string) => void;
}

/** What became of it. */
export interface MadeIndex {
  /** Segments that were looked at, and those of them that had no index before. */
  readonly segments: number;
  readonly made: number;
  /** Segments that cannot be indexed, each with the reason. */
  readonly unreadable: readonly { readonly segmentName: string; readonly reason: string }[];
}

/**
 * Makes what is missing of the commit index of whole segments, from the WAL itself: for WAL that was stored before there was one, and for what a
 * crash or a store left out. Safe to repeat, also beside a receiver.
 *
 * A segment that cannot be read is named and left. Errors: those of the store.
 */
export async function makeIndex(options: MakeIndexOptions): Promise<MadeIndex> {
  const { repository, lineage } = options;
  const { segmentBytes } = lineage.header;
  const total = { segments: 0, made: 0, unreadable: [] as { segmentName: string; reason: string }[] };
  for (const { timeline, segments } of lineage.timelines.values()) {
    const place = { system: lineage.system, lineage: lineage.lineage, timeline, segmentBytes };
    const all = [...segments.values()].sort((a, b) => (a.number < b.number ? -1 : 1));
    const wanted = options.newest === undefined ? all : all.slice(-options.newest);
    const [first] = wanted;
    if (first === undefined) continue;
    const from = options.newest === undefined ? 0n : first.number - (first.number % FAN_OUT);
    const there = await listIndexed(repository, place, from);
    total.segments += wanted.length;
    const missing = wanted.filter(
      ({ name }) => !PARTS.every((part) => there.has(landmarksObjectName(place, name, part))),
    );
    const made = await indexSegments(options, place, missing, total.unreadable);
    total.made += made;
    await rollUpAll(repository, place, { from, first: first.number, last: wanted.at(-1)!.number }, there);
    if (options.signal?.aborted === true) break;
  }
  return total;
}

/** The names of what there is of the index of a timeline, from a segment on. */
async function listIndexed(repository: Repository, place: IndexPlace, from: bigint): Promise<Set<string>> {
  const there = new Set<string>();
  const startAfter = from === 0n ? {} : { startAfter: `${indexObjectName(place, from - 1n, 'one')}~` };
  for await (const { name } of repository.store.list(landmarksPrefix(place), startAfter)) {
    const parsed = parseWalObjectName(name);
    if (parsed?.kind !== 'landmarks') continue;
    const { timeline } = parseSegmentName(parsed.segmentName, place.segmentBytes);
    if (timeline > place.timeline) break;
    if (timeline === place.timeline) there.add(name);
  }
  return there;
}

async function indexSegments(
  { repository, lineage, signal, onSegment }: MakeIndexOptions,
  place: IndexPlace,
  missing: readonly StoredSegment[],
  unreadable: { segmentName: string; reason: string }[],
): Promise<number> {
  const checker = new SegmentChecker(place.segmentBytes, lineage.system);
  let made = 0;
  for (const segment of missing) {
    if (signal?.aborted === true) break;
    const read = await readSegment(repository, place, checker, segment);
    if (typeof read === 'string') unreadable.push({ segmentName: segment.name, reason: read });
    else {
      if (read.landmarks !== null) await putBlock(repository, place, read.landmarks);
      if (read.changes === null) unreadable.push({ segmentName: segment.name, reason: UNKNOWN_CHANGES });
      else {
        await checker.changes.keep(repository, place, read.changes);
        made += 1;
      }
    }
    onSegment?.(segment.name);
  }
  return made;
}

const UNKNOWN_CHANGES =
  'It has a record of a form that this version does not know: its commits are indexed, and which blocks it changes is not.';

/** What was gathered of a segment, or the reason why it has no landmarks that one could rely on, in words. */
async function readSegment(
  repository: Repository,
  place: IndexPlace,
  checker: SegmentChecker,
  { number, objectName }: StoredSegment,
): Promise<CollectedSegment | string> {
  const size = BigInt(place.segmentBytes);
  const object = { kind: 'wal-segment', objectName, start: number * size, end: (number + 1n) * size } as const;
  try {
    const before = checker.goesOnWith(number) ? null : await readBlockBefore(repository, place, number);
    let unsound = await checker.check(number, readWalObject(repository, object), before);
    if (unsound !== null && before !== null) unsound = await checker.check(number, readWalObject(repository, object));
    if (unsound !== null) return `It is no sound WAL at ${formatLsn(unsound.lsn)}: ${unsound.detail}`;
    const { collected } = checker;
    if (collected?.landmarks == null) return 'It has a record of a form that this version does not know.';
    return collected;
  } catch (error) {
    if (!(error instanceof HoldfastError) || !isWalDamage(error)) throw error;
    return messageOf(error);
  }
}

/** What there is of each segment. */
const PARTS = ['one', { changes: 0 }] as const;

/** Rolls up every group that begins at `from` or later and is behind us, of the lowest level first. */
async function rollUpAll(
  repository: Repository,
  place: IndexPlace,
  segments: { from: bigint; first: bigint; last: bigint },
  there: ReadonlySet<string>,
): Promise<void> {
  for (let level = 1; level <= LEVEL_MAX; level++) {
    const size = FAN_OUT ** BigInt(level);
    for (let start = segments.first - (segments.first % size); start + size - 1n <= segments.last; start += size) {
      if (start < segments.from || there.has(indexObjectName(place, start, { level }))) continue;
      if (level === 1) await rollUp(repository, place, start);
      else await rollUpLevel(repository, place, { level, start });
    }
  }
  for (let level = 1; level <= CHANGES_LEVEL_MAX; level++) {
    const size = segmentsOfLevel(level);
    for (let first = roundUp(segments.first, size); first + size - 1n <= segments.last; first += size) {
      if (there.has(changesObjectName(place, first, level))) continue;
      await uniteChanges(repository, place, { level, first });
    }
  }
}

function roundUp(value: bigint, multiple: bigint): bigint {
  return ((value + multiple - 1n) / multiple) * multiple;
}
