import { formatHistoryName } from '../../postgres/index.ts';

/** Where all WAL of a cluster lies: under its system identifier, as several clusters may share a repository. */
export const WAL_PREFIX = 'wal/';

/** Which lineage of which cluster. */
export interface LineagePlace {
  /** The system identifier, decimal. */
  readonly system: string;
  /** 64 hexadecimal digits. */
  readonly lineage: string;
}

/** A fragment holds at most so many bytes, whoever cuts it, so that memory and objects stay small. */
export const FRAGMENT_BYTES_MAX = 4 * 1024 * 1024;

/** WAL of one timeline inside one segment, stored before the segment is whole. */
export interface FragmentName {
  readonly timeline: number;
  readonly start: bigint;
  readonly end: bigint;
  /** Drawn when the receiver starts, 16 hexadecimal digits: two receivers never write under one name. */
  readonly receiver: string;
}

/** What the name of an object under `wal/` says about it. */
export type WalObjectName = LineagePlace &
  (
    | { readonly kind: 'lineage' }
    | { readonly kind: 'segment'; readonly segmentName: string }
    | { readonly kind: 'fragment'; readonly fragment: FragmentName }
    | { readonly kind: 'history'; readonly timeline: number }
    /** The second copy of the first object, or of a history file. */
    | {
        readonly kind: 'copy';
        readonly of: { readonly kind: 'lineage' } | { readonly kind: 'history'; readonly timeline: number };
      }
    | { readonly kind: 'landmarks'; readonly segmentName: string; readonly part: LandmarksPart }
  );

/**
 * What an object of the commit index holds: the landmarks of one segment, those of sixteen, or summaries of sixteen groups of
 * 16^(level - 1) segments.
 */
export type LandmarksPart =
  | 'one'
  | 'sixteen'
  | { readonly level: number }
  /** Not the index, but which blocks the WAL changes: of one segment, of 16 (level 1) or of 256 (level 2). */
  | { readonly changes: number };

export function systemPrefix(system: string): string {
  return `${WAL_PREFIX}${system}/`;
}

export function lineagePrefix(place: LineagePlace): string {
  return `${systemPrefix(place.system)}${place.lineage}/`;
}

export function lineageObjectName(place: LineagePlace): string {
  return `${lineagePrefix(place)}lineage`;
}

export function segmentObjectName(place: LineagePlace, segmentName: string): string {
  return `${lineagePrefix(place)}segments/${segmentName}`;
}

export function historyObjectName(place: LineagePlace, timeline: number): string {
  return `${lineagePrefix(place)}history/${formatHistoryName(timeline)}`;
}

/** Where the fragments of a lineage lie. */
export function fragmentsPrefix(place: LineagePlace): string {
  return `${lineagePrefix(place)}fragments/`;
}

/** Where the commit index of a lineage lies. */
export function landmarksPrefix(place: LineagePlace): string {
  return `${lineagePrefix(place)}landmarks/`;
}

/**
 * Shape: `<24 hex>` · `<24 hex>.blocks` · `<24 hex>.level<1-9>` · `<24 hex>.changes` · `<24 hex>.changes<1-9>`, with the name of the first
 * segment that the object is about.
 */
export function landmarksObjectName(place: LineagePlace, segmentName: string, part: LandmarksPart): string {
  return `${landmarksPrefix(place)}${segmentName}${endOf(part)}`;
}

function endOf(part: LandmarksPart): string {
  if (part === 'one') return '';
  if (part === 'sixteen') return '.blocks';
  if ('level' in part) return `.level${part.level}`;
  return part.changes === 0 ? '.changes' : `.changes${part.changes}`;
}

/** Shape: `<timeline 8>.<start 16>.<end 16>.<receiver 16>`, lower-case hexadecimal, so that a listing is in the order of the WAL. */
export function fragmentObjectName(place: LineagePlace, fragment: FragmentName): string {
  return `${fragmentsFrom(place, fragment.timeline, fragment.start)}.${hexadecimal(fragment.end, 16)}.${fragment.receiver}`;
}

/** How the names of fragments begin that start at a position: in a listing, those before it stand before, and those from it on behind. */
export function fragmentsFrom(place: LineagePlace, timeline: number, start: bigint): string {
  return `${fragmentsPrefix(place)}${hexadecimal(timeline, 8)}.${hexadecimal(start, 16)}`;
}

const NAME_SHAPE =
  /^wal\/([0-9]{1,20})\/([0-9a-f]{64})\/(lineage|lineage\.copy|segments|fragments|history|landmarks)(?:\/([^/]+))?$/;
const FRAGMENT_SHAPE = /^([0-9a-f]{8})\.([0-9a-f]{16})\.([0-9a-f]{16})\.([0-9a-f]{16})$/;
const HISTORY_SHAPE = /^([0-9A-F]{8})\.history(\.copy)?$/;
const SEGMENT_SHAPE = /^[0-9A-F]{24}$/;
const LANDMARKS_SHAPE = /^([0-9A-F]{24})(?:\.(?:(blocks)|level([1-9])|(changes)([1-9])?))?$/;

/** Reads what the functions above write; `null` for any other name, of which nothing can be said. */
export function parseWalObjectName(name: string): WalObjectName | null {
  const match = NAME_SHAPE.exec(name);
  if (match === null) return null;
  const [, system, lineage, part, rest] = match;
  const place = { system: system!, lineage: lineage! };
  if (part === 'lineage') return rest === undefined ? { ...place, kind: 'lineage' } : null;
  if (part === 'lineage.copy') return rest === undefined ? { ...place, kind: 'copy', of: { kind: 'lineage' } } : null;
  if (rest === undefined) return null;
  if (part === 'segments') return SEGMENT_SHAPE.test(rest) ? { ...place, kind: 'segment', segmentName: rest } : null;
  if (part === 'history') {
    const match = HISTORY_SHAPE.exec(rest);
    const timeline = Number.parseInt(match?.[1] ?? '0', 16);
    if (timeline === 0) return null;
    const history = { kind: 'history', timeline } as const;
    return match?.[2] === undefined ? { ...place, ...history } : { ...place, kind: 'copy', of: history };
  }
  if (part === 'landmarks') return parseLandmarks(place, rest);
  const fragment = parseFragment(rest);
  return fragment === null ? null : { ...place, kind: 'fragment', fragment };
}

function parseLandmarks(place: LineagePlace, text: string): WalObjectName | null {
  const match = LANDMARKS_SHAPE.exec(text);
  if (match === null) return null;
  const [, segmentName, blocks, level, changes, changesLevel = '0'] = match;
  const part =
    level !== undefined
      ? { level: Number(level) }
      : changes !== undefined
        ? { changes: Number(changesLevel) }
        : blocks !== undefined
          ? ('sixteen' as const)
          : ('one' as const);
  return { ...place, kind: 'landmarks', segmentName: segmentName!, part };
}

function parseFragment(text: string): FragmentName | null {
  const match = FRAGMENT_SHAPE.exec(text);
  if (match === null) return null;
  const timeline = Number.parseInt(match[1]!, 16);
  const start = BigInt(`0x${match[2]}`);
  const end = BigInt(`0x${match[3]}`);
  if (timeline === 0 || end <= start) return null;
  return { timeline, start, end, receiver: match[4]! };
}

function hexadecimal(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
