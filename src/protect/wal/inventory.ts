import { codeOf, HoldfastError, mapAhead, messageOf } from '../../lib/index.ts';
import { parseSegmentName, parseTimelineHistory, type TimelineSwitch } from '../../postgres/index.ts';
import { decodeJson, type ObjectEntry, type Repository } from '../../repository/index.ts';
import { listHiddenFragments } from './hidden-fragments.ts';
import { decodeLineageHeader, type LineageHeader } from './lineage.ts';
import { compareLsn, type LsnRange, mergeRanges } from './lsn-ranges.ts';
import {
  type FragmentName,
  historyObjectName,
  type LineagePlace,
  landmarksPrefix,
  lineageObjectName,
  parseWalObjectName,
  segmentObjectName,
  systemPrefix,
  WAL_PREFIX,
} from './object-names.ts';
import { getEither } from './second-copy.ts';

/** A stored fragment and the object that holds it. */
export interface StoredFragment extends FragmentName {
  readonly objectName: string;
  /** Stored bytes, where a listing told them. */
  readonly size?: number;
}

/** A stored whole segment. `number` counts segments from LSN 0. */
export interface StoredSegment {
  readonly number: bigint;
  readonly name: string;
  readonly objectName: string;
  /** Stored bytes, where a listing told them. */
  readonly size?: number;
}

/** What is stored of one timeline. */
export interface TimelineInventory {
  readonly timeline: number;
  readonly segments: ReadonlyMap<bigint, StoredSegment>;
  /** By start. */
  readonly fragments: readonly StoredFragment[];
  /** All WAL of the timeline that is stored in either form. */
  readonly ranges: readonly LsnRange[];
}

/** What is stored of one lineage. */
export interface LineageInventory extends LineagePlace {
  readonly header: LineageHeader;
  /** When the store took the lineage's first object, in the store's own time (milliseconds since 1970). */
  readonly storedAt: number;
  /** When the store took the newest of its WAL; 0 when there is none. */
  readonly grewAt: number;
  readonly timelines: ReadonlyMap<number, TimelineInventory>;
  /** For each timeline with a stored history file, the switches that led to it, oldest first. */
  readonly histories: ReadonlyMap<number, readonly TimelineSwitch[]>;
}

/** Everything under `wal/`, or under one system of it, from one listing. */
export interface WalInventory {
  readonly lineages: readonly LineageInventory[];
  /** Objects that could not be used, each with the reason. */
  readonly damaged: readonly Trouble[];
  /** Objects that are damaged and whose second copy was read in their place. */
  readonly replaced?: readonly Trouble[];
}

/** Landmarks that are listed and passed over before the listing begins again behind all of them: they come with the same answer as what stands before. */
const LANDMARKS_PASSED_MAX = 200;
/** History files of one lineage that are asked for at once. */
const HISTORIES_READ_MAX = 16;

/**
 * Lists what WAL is stored, of one cluster's system or of all, and reads lineages and histories (small objects, never WAL itself).
 *
 * A lineage whose first object is damaged is left out and named in `damaged`. A store that cannot be listed is an error, never an empty
 * inventory: who reads one may conclude that a file does not exist (rule A3).
 *
 * `known`: an inventory that was read before; of a lineage that stands in it, what never changes is not read again. Errors: those of the store.
 */
export async function readWalInventory(
  repository: Repository,
  system?: string,
  known: WalInventory | null = null,
): Promise<WalInventory> {
  const reading = new Map<string, Promise<ReadHeader>>();
  const listings = new Map<string, LineageListing>();
  const damaged: Trouble[] = [];
  const replaced: Trouble[] = [];
  for await (const entry of listWithoutLandmarks(
    repository,
    system === undefined ? WAL_PREFIX : systemPrefix(system),
  )) {
    const name = parseWalObjectName(entry.name);
    if (name === null) {
      damaged.push({ objectName: entry.name, error: foreignObject(entry.name) });
      continue;
    }
    const key = `${name.system}/${name.lineage}`;
    const listing = listings.get(key) ?? newListing(name);
    listings.set(key, listing);
    // The listing goes on meanwhile.
    if (!reading.has(key)) reading.set(key, beginReadingHeader(repository, name, known));
    if (name.kind === 'lineage') listing.storedAt = entry.modifiedAt;
    if (name.kind === 'segment' || name.kind === 'fragment')
      listing.grewAt = Math.max(listing.grewAt, entry.modifiedAt);
    const { size } = entry;
    if (name.kind === 'segment') listing.segments.push({ name: name.segmentName, size });
    if (name.kind === 'fragment') listing.fragments.push({ ...name.fragment, objectName: entry.name, size });
    if (name.kind === 'history') listing.historyTimelines.add(name.timeline);
    if (name.kind === 'copy' && name.of.kind === 'history') listing.historyTimelines.add(name.of.timeline);
    if (name.kind === 'copy' && name.of.kind === 'lineage') listing.storedAt ??= entry.modifiedAt;
  }
  const lineages: LineageInventory[] = [];
  const readAll = ([key, listing]: [string, LineageListing]) =>
    readLineage(repository, listing, reading.get(key)!, known);
  for await (const read of mapAhead(listings, { atOnceMax: HISTORIES_READ_MAX }, readAll)) {
    damaged.push(...read.damaged);
    replaced.push(...read.replaced);
    if (read.lineage !== null) lineages.push(read.lineage);
  }
  return { lineages, damaged, ...(replaced.length === 0 ? {} : { replaced }) };
}

/** The commit index has as many objects as there are segments, and says nothing of what WAL is stored: the listing goes on behind it. */
async function* listWithoutLandmarks(repository: Repository, prefix: string): AsyncGenerator<ObjectEntry, void> {
  for (let startAfter: string | null = ''; startAfter !== null; ) {
    const from: string = startAfter;
    startAfter = null;
    let passed = 0;
    for await (const entry of repository.store.list(prefix, from === '' ? {} : { startAfter: from })) {
      const name = parseWalObjectName(entry.name);
      passed = name?.kind === 'landmarks' ? passed + 1 : 0;
      if (passed === 0) yield entry;
      else if (name !== null && passed > LANDMARKS_PASSED_MAX) {
        startAfter = `${landmarksPrefix(name)}~`;
        break;
      }
    }
  }
}

/** The lineage with this id. Errors: WAL_LINEAGE_ABSENT. */
export function findLineage(inventory: WalInventory, lineage: string): LineageInventory {
  const found = inventory.lineages.find((candidate) => candidate.lineage === lineage);
  if (found !== undefined) return found;
  throw new HoldfastError('WAL_LINEAGE_ABSENT', `cannot find WAL lineage "${lineage}"`, {
    detail: `The repository has ${inventory.lineages.length} readable lineages here, and this is none of them.`,
    hints: ['Run `holdfast wal status` to see which lineages there are.'],
  });
}

interface LineageListing extends LineagePlace {
  storedAt: number | null;
  grewAt: number;
  segments: { name: string; size: number }[];
  fragments: StoredFragment[];
  historyTimelines: Set<number>;
}

function newListing({ system, lineage }: LineagePlace): LineageListing {
  return { system, lineage, storedAt: null, grewAt: 0, segments: [], fragments: [], historyTimelines: new Set() };
}

interface Trouble {
  readonly objectName: string;
  readonly error: HoldfastError;
}

/** A small object that is stored twice, and what was wrong with it or with its first copy. */
interface ReadTwice<Value> {
  readonly value: Value | null;
  readonly damaged: readonly Trouble[];
  readonly replaced: readonly Trouble[];
}

type ReadHeader = ReadTwice<LineageHeader>;

function beginReadingHeader(
  repository: Repository,
  place: LineagePlace,
  known: WalInventory | null,
): Promise<ReadHeader> {
  const before = findKnown(known, place);
  if (before !== undefined) return Promise.resolve({ value: before.header, damaged: [], replaced: [] });
  const objectName = lineageObjectName(place);
  const decode = (body: Buffer) => decodeLineageHeader(decodeJson(objectName, body), objectName);
  const reading = readTwice(repository, 'wal-lineage', objectName, decode);
  // Awaited when all is listed, unless the listing fails.
  reading.catch(() => {});
  return reading;
}

function findKnown(known: WalInventory | null, { lineage }: LineagePlace): LineageInventory | undefined {
  return known?.lineages.find((candidate) => candidate.lineage === lineage);
}

async function readLineage(
  repository: Repository,
  listing: LineageListing,
  reading: Promise<ReadHeader>,
  known: WalInventory | null,
): Promise<{ lineage: LineageInventory | null; damaged: Trouble[]; replaced: Trouble[] }> {
  const before = findKnown(known, listing)?.histories;
  const readHistory = async (timeline: number) => {
    const value = before?.get(timeline);
    if (value !== undefined) return { timeline, value, damaged: [], replaced: [] };
    const objectName = historyObjectName(listing, timeline);
    const decode = (body: Buffer) => parseTimelineHistory(body.toString('utf8'));
    return { timeline, ...(await readTwice(repository, 'timeline-history', objectName, decode)) };
  };
  const { value: header, ...troubles } = await reading;
  const [damaged, replaced] = [[...troubles.damaged], [...troubles.replaced]];
  if (header === null) return { lineage: null, damaged, replaced };
  const histories = new Map<number, readonly TimelineSwitch[]>();
  const wanted = [...listing.historyTimelines].sort((a, b) => a - b);
  for await (const history of mapAhead(wanted, { atOnceMax: HISTORIES_READ_MAX }, readHistory)) {
    if (history.value !== null) histories.set(history.timeline, history.value);
    damaged.push(...history.damaged);
    replaced.push(...history.replaced);
  }
  const { system, lineage, grewAt } = listing;
  const { segmentBytes } = header;
  const listed = arrangeTimelines(listing, segmentBytes, damaged);
  const hidden = await listHiddenFragments(repository.store, listing, { segmentBytes, timelines: listed });
  listing.fragments.push(...hidden);
  const timelines = hidden.length === 0 ? listed : arrangeTimelines(listing, segmentBytes, []);
  const found = { system, lineage, header, storedAt: listing.storedAt ?? 0, grewAt, timelines, histories };
  return { lineage: found, damaged, replaced };
}

/** Sorts what was listed into timelines. */
function arrangeTimelines(
  listing: LineageListing,
  segmentBytes: number,
  damaged: Trouble[],
): Map<number, TimelineInventory> {
  const segments = new Map<number, Map<bigint, StoredSegment>>();
  for (const { name, size } of listing.segments) {
    const objectName = segmentObjectName(listing, name);
    try {
      const { timeline, number } = parseSegmentName(name, segmentBytes);
      const ofTimeline = segments.get(timeline) ?? new Map<bigint, StoredSegment>();
      segments.set(timeline, ofTimeline.set(number, { number, name, objectName, size }));
    } catch {
      // A name that segments of this size cannot have: nobody could ever ask for it.
      damaged.push({ objectName, error: foreignObject(objectName) });
    }
  }
  const fragments = Map.groupBy(listing.fragments, (fragment) => fragment.timeline);
  const timelines = new Map<number, TimelineInventory>();
  for (const timeline of [...new Set([...segments.keys(), ...fragments.keys()])].sort((a, b) => a - b)) {
    timelines.set(
      timeline,
      makeTimelineInventory(timeline, segmentBytes, segments.get(timeline) ?? new Map(), fragments.get(timeline) ?? []),
    );
  }
  return timelines;
}

/** Puts the parts of one timeline together. */
export function makeTimelineInventory(
  timeline: number,
  segmentBytes: number,
  segments: ReadonlyMap<bigint, StoredSegment>,
  fragments: readonly StoredFragment[],
): TimelineInventory {
  const size = BigInt(segmentBytes);
  const whole = [...segments.keys()].map((number) => ({ start: number * size, end: (number + 1n) * size }));
  return {
    timeline,
    segments,
    fragments: fragments.toSorted((a, b) => compareLsn(a.start, b.start) || compareLsn(a.end, b.end)),
    ranges: mergeRanges([...whole, ...fragments]),
  };
}

/** Damage is told and the rest of the inventory stays useful; what might pass, such as a store without an answer, ends the reading. */
async function readTwice<Value>(
  repository: Repository,
  kind: 'wal-lineage' | 'timeline-history',
  objectName: string,
  decode: (body: Buffer) => Value,
): Promise<ReadTwice<Value>> {
  try {
    const { value, trouble } = await getEither(repository, kind, objectName, decode);
    return { value, damaged: [], replaced: trouble === null ? [] : [{ objectName, error: trouble }] };
  } catch (error) {
    const code = codeOf(error);
    const isDamage =
      code === 'OBJECT_DAMAGED' ||
      code === 'OBJECT_ABSENT' ||
      code?.startsWith('WAL_LINEAGE_') === true ||
      code === 'PG_TIMELINE_HISTORY_INVALID';
    if (!isDamage) throw error;
    const told = error instanceof HoldfastError ? error : foreignObject(messageOf(error));
    return { value: null, damaged: [{ objectName, error: told }], replaced: [] };
  }
}

function foreignObject(objectName: string): HoldfastError {
  return new HoldfastError('WAL_OBJECT_FOREIGN', `unrecognized object "${objectName}" among the WAL`, {
    detail: 'No version that this one knows gives an object such a name.',
  });
}
