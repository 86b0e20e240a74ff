import { codeOf, HoldfastError, messageOf } from '../../lib/index.ts';
import { parseSegmentName, parseTimelineHistory, type TimelineSwitch } from '../../postgres/index.ts';
import { decodeJson, type ObjectEntry, type Repository } from '../../repository/index.ts';
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
}

/** A stored whole segment. `number` counts segments from LSN 0. */
export interface StoredSegment {
  readonly number: bigint;
  readonly name: string;
  readonly objectName: string;
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
  readonly damaged: readonly { readonly objectName: string; readonly error: HoldfastError }[];
  /** Objects that are damaged and whose second copy was read in their place. */
  readonly replaced?: readonly { readonly objectName: string; readonly error: HoldfastError }[];
}

/**
 * Lists what WAL is stored, of one cluster's system or of all, and reads lineages and histories (small objects, never WAL itself).
 *
 * A lineage whose first object is damaged is left out and named in `damaged`. A store that cannot be listed is an error, never an empty
 * inventory: who reads one may conclude that a file does not exist (rule A3).
 *
 * Errors: those of the store.
 */
export async function readWalInventory(repository: Repository, system?: string): Promise<WalInventory> {
  const listings = new Map<string, LineageListing>();
  const damaged: { objectName: string; error: HoldfastError }[] = [];
  const replaced: { objectName: string; error: HoldfastError }[] = [];
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
    if (name.kind === 'lineage') listing.storedAt = entry.modifiedAt;
    if (name.kind === 'segment' || name.kind === 'fragment')
      listing.grewAt = Math.max(listing.grewAt, entry.modifiedAt);
    if (name.kind === 'segment') listing.segmentNames.push(name.segmentName);
    if (name.kind === 'fragment') listing.fragments.push({ ...name.fragment, objectName: entry.name });
    if (name.kind === 'history') listing.historyTimelines.add(name.timeline);
    if (name.kind === 'copy' && name.of.kind === 'history') listing.historyTimelines.add(name.of.timeline);
    if (name.kind === 'copy' && name.of.kind === 'lineage') listing.storedAt ??= entry.modifiedAt;
  }
  const lineages: LineageInventory[] = [];
  for (const listing of listings.values()) {
    const lineage = await readLineage(repository, listing, damaged, replaced);
    if (lineage !== null) lineages.push(lineage);
  }
  return { lineages, damaged, ...(replaced.length === 0 ? {} : { replaced }) };
}

/** The commit index has as many objects as there are segments, and says nothing of what WAL is stored: the listing goes on behind it. */
async function* listWithoutLandmarks(repository: Repository, prefix: string): AsyncGenerator<ObjectEntry, void> {
  for (let startAfter: string | null = ''; startAfter !== null; ) {
    const from: string = startAfter;
    startAfter = null;
    for await (const entry of repository.store.list(prefix, from === '' ? {} : { startAfter: from })) {
      const name = parseWalObjectName(entry.name);
      if (name?.kind === 'landmarks') {
        startAfter = `${landmarksPrefix(name)}~`;
        break;
      }
      yield entry;
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
  segmentNames: string[];
  fragments: StoredFragment[];
  historyTimelines: Set<number>;
}

function newListing({ system, lineage }: LineagePlace): LineageListing {
  return { system, lineage, storedAt: null, grewAt: 0, segmentNames: [], fragments: [], historyTimelines: new Set() };
}

async function readLineage(
  repository: Repository,
  listing: LineageListing,
  damaged: { objectName: string; error: HoldfastError }[],
  replaced: { objectName: string; error: HoldfastError }[],
): Promise<LineageInventory | null> {
  const objectName = lineageObjectName(listing);
  const noteTrouble = (name: string, error: HoldfastError | null) => {
    if (error !== null) replaced.push({ objectName: name, error });
  };
  const header = await unlessDamaged(damaged, objectName, async () => {
    const decode = (body: Buffer) => decodeLineageHeader(decodeJson(objectName, body), objectName);
    const { value, trouble } = await getEither(repository, 'wal-lineage', objectName, decode);
    noteTrouble(objectName, trouble);
    return value;
  });
  if (header === null) return null;
  const histories = new Map<number, readonly TimelineSwitch[]>();
  for (const timeline of [...listing.historyTimelines].sort((a, b) => a - b)) {
    const historyName = historyObjectName(listing, timeline);
    const history = await unlessDamaged(damaged, historyName, async () => {
      const decode = (body: Buffer) => parseTimelineHistory(body.toString('utf8'));
      const { value, trouble } = await getEither(repository, 'timeline-history', historyName, decode);
      noteTrouble(historyName, trouble);
      return value;
    });
    if (history !== null) histories.set(timeline, history);
  }
  const { system, lineage, grewAt } = listing;
  const timelines = arrangeTimelines(listing, header.segmentBytes, damaged);
  return { system, lineage, header, storedAt: listing.storedAt ?? 0, grewAt, timelines, histories };
}

/** Sorts what was listed into timelines. */
function arrangeTimelines(
  listing: LineageListing,
  segmentBytes: number,
  damaged: { objectName: string; error: HoldfastError }[],
): Map<number, TimelineInventory> {
  const segments = new Map<number, Map<bigint, StoredSegment>>();
  for (const name of listing.segmentNames) {
    const objectName = segmentObjectName(listing, name);
    try {
      const { timeline, number } = parseSegmentName(name, segmentBytes);
      const ofTimeline = segments.get(timeline) ?? new Map<bigint, StoredSegment>();
      segments.set(timeline, ofTimeline.set(number, { number, name, objectName }));
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
async function unlessDamaged<Value>(
  damaged: { objectName: string; error: HoldfastError }[],
  objectName: string,
  read: () => Promise<Value>,
): Promise<Value | null> {
  try {
    return await read();
  } catch (error) {
    const code = codeOf(error);
    const isDamage =
      code === 'OBJECT_DAMAGED' ||
      code === 'OBJECT_ABSENT' ||
      code?.startsWith('WAL_LINEAGE_') === true ||
      code === 'PG_TIMELINE_HISTORY_INVALID';
    if (!isDamage) throw error;
    damaged.push({ objectName, error: error instanceof HoldfastError ? error : foreignObject(messageOf(error)) });
    return null;
  }
}

function foreignObject(objectName: string): HoldfastError {
  return new HoldfastError('WAL_OBJECT_FOREIGN', `unrecognized object "${objectName}" among the WAL`, {
    detail: 'No version that this one knows gives an object such a name.',
  });
}
