import { createHash } from 'node:crypto';
import { assert } from '../../../lib/index.ts';
import { parseSegmentName } from '../../../postgres/index.ts';
import {
  type Contradiction,
  getBodyStream,
  type ObjectKind,
  type ObjectStore,
  type Repository,
  type SpoolJudge,
} from '../../../repository/index.ts';
import { type LineageInventory, readWalInventory, type WalInventory } from '../inventory.ts';
import { lineagePrefix, parseWalObjectName, type WalObjectName } from '../object-names.ts';
import { fragmentObject, isWalDamage, readWalObject, type WalObject } from '../stored-wal.ts';
import { Comparison } from './comparison.ts';

/**
 * Judges WAL that waits on this machine: it may have been received while nobody could see what the primary had, and while another receiver brought
 * other WAL there (rule A4).
 */
export function judgeOfSpool(repository: Repository): SpoolJudge {
  return {
    isSame: (name, one, other) => isSameWal(repository, name, one, other),
    findContradictions: (names, spool, other) => findContradictions(repository, names, spool, other),
  };
}

/** Sealed twice, the same WAL has other bytes. The index of it is made from it, and either will do. */
async function isSameWal(repository: Repository, name: string, one: ObjectStore, other: ObjectStore): Promise<boolean> {
  const parsed = parseWalObjectName(name);
  if (parsed?.kind === 'landmarks') return true;
  const kind = kindOf(parsed);
  if (kind === null) return false;
  const [left, right] = await Promise.all([one, other].map((store) => hashOf(repository.inPlace(store), kind, name)));
  return left === right;
}

function kindOf(name: WalObjectName | null): ObjectKind | null {
  switch (name?.kind) {
    case 'segment':
      return 'wal-segment';
    case 'fragment':
      return 'wal-fragment';
    case 'history':
      return 'timeline-history';
    case 'copy':
      return name.of.kind === 'history' ? 'timeline-history' : null;
    default:
      return null;
  }
}

async function hashOf(repository: Repository, kind: ObjectKind, name: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of getBodyStream(repository, { kind, name })) hash.update(piece);
  return hash.digest('hex');
}

/** Every lineage of which something waits, held against what the other place has of it by now: byte by byte, whatever the objects are called. */
async function findContradictions(
  repository: Repository,
  names: readonly string[],
  spool: ObjectStore,
  other: ObjectStore,
): Promise<Contradiction[]> {
  const [here, there] = [repository.inPlace(spool), repository.inPlace(other)];
  const inventories = new Map<string, WalInventory>();
  const found = new Map<string, string>();
  for (const name of names) {
    const parsed = parseWalObjectName(name);
    if (parsed === null || found.has(lineagePrefix(parsed))) continue;
    const inventory = inventories.get(parsed.system) ?? (await readWalInventory(there, parsed.system));
    inventories.set(parsed.system, inventory);
    const lineage = inventory.lineages.find((each) => each.lineage === parsed.lineage);
    if (lineage === undefined) continue;
    if (await isContradicted({ here, there, lineage }, name, parsed)) found.set(lineagePrefix(parsed), name);
  }
  return [...found].map(([prefix, name]) => ({ prefix, name }));
}

interface Sides {
  readonly here: Repository;
  readonly there: Repository;
  /** As the other place has it. */
  readonly lineage: LineageInventory;
}

async function isContradicted({ here, there, lineage }: Sides, name: string, parsed: WalObjectName): Promise<boolean> {
  try {
    if (parsed.kind === 'history') {
      return lineage.histories.has(parsed.timeline) && !(await isSameWal(here, name, here.store, there.store));
    }
    const waiting = walObjectOf(name, parsed, lineage);
    return waiting !== null && (await differs(here, there, waiting, lineage));
  } catch (error) {
    // What cannot be read is no word about the other; whoever reads it as WAL tells of it.
    if (isWalDamage(error)) return false;
    throw error;
  }
}

interface WaitingWal {
  readonly object: WalObject;
  readonly timeline: number;
}

function walObjectOf(objectName: string, parsed: WalObjectName, { header }: LineageInventory): WaitingWal | null {
  if (parsed.kind === 'fragment') {
    return { object: fragmentObject({ ...parsed.fragment, objectName }), timeline: parsed.fragment.timeline };
  }
  if (parsed.kind !== 'segment') return null;
  const { timeline, number } = parseSegmentName(parsed.segmentName, header.segmentBytes);
  const start = number * BigInt(header.segmentBytes);
  return { object: { kind: 'wal-segment', start, end: start + BigInt(header.segmentBytes), objectName }, timeline };
}

async function differs(
  here: Repository,
  there: Repository,
  { object, timeline }: WaitingWal,
  lineage: LineageInventory,
): Promise<boolean> {
  const stored = lineage.timelines.get(timeline);
  if (stored === undefined) return false;
  const size = BigInt(lineage.header.segmentBytes);
  const segments = [...stored.segments.values()].map(({ number, objectName }): WalObject => {
    return { kind: 'wal-segment', start: number * size, end: (number + 1n) * size, objectName };
  });
  const overlapping = [...segments, ...stored.fragments.map(fragmentObject)].filter(
    ({ start, end }) => start < object.end && end > object.start,
  );
  if (overlapping.length === 0) return false;
  const compared = overlapping.map((each) => ({ ...each, comparedEnd: each.end }));
  // What is damaged there proves nothing.
  const comparison = new Comparison(there, compared, () => {});
  let at = object.start;
  for await (const piece of readWalObject(here, object)) {
    assert(piece.length > 0, 'pieces of WAL have bytes');
    if ((await comparison.check(at, piece)) !== null) return true;
    at += BigInt(piece.length);
  }
  return false;
}
