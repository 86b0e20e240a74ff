import { kindPrefix } from '../codec/index.ts';
import { VOLATILE_PREFIX } from '../object-store/index.ts';

/**
 * The steps in which objects appear in a copy, so that it is a consistent repository at every moment (docs/copies.md). A step needs nothing of
 * those behind it.
 */
const STEPS = [
  'keys',
  'features',
  'format',
  'announcements',
  'packs',
  'lineages',
  'histories',
  'wal',
  'landmarks',
  'landmark-summaries',
  'index',
  'pending',
  'committed',
  'attestations',
  'runs',
  'ledger',
  'others',
] as const;

export type WriteStep = (typeof STEPS)[number];

/** All steps, in their order. */
export const WRITE_STEPS: readonly WriteStep[] = STEPS;

/** Where each step's objects lie. A step with several prefixes has them in the order in which they may be listed. */
const PREFIXES: Record<Exclude<WriteStep, 'others'>, readonly string[]> = {
  keys: ['keys/'],
  format: ['format'],
  features: ['features/'],
  announcements: ['damage/', 'erasure/', 'holds/'],
  packs: ['packs/'],
  lineages: ['wal/'],
  histories: ['wal/'],
  wal: ['wal/'],
  landmarks: ['wal/'],
  'landmark-summaries': ['wal/'],
  index: ['index/'],
  pending: ['snapshots/pending/'],
  committed: ['snapshots/committed/'],
  attestations: ['attest/'],
  runs: ['runs/'],
  ledger: ['ledger/'],
};

/** What is about one place and said nowhere else: who works there just now, what is about to be deleted there, what was dropped there. */
const ONE_PLACE_PREFIXES = [VOLATILE_PREFIX, kindPrefix('tombstone'), kindPrefix('snapshot-forgotten')];

/** Whether an object is about the place that it lies in and never copied. */
export function isOfOnePlace(name: string): boolean {
  return ONE_PLACE_PREFIXES.some((prefix) => name.startsWith(prefix));
}

const WAL_SHAPE = /^wal\/[^/]+\/[^/]+\/([^/]+)(?:\/([^/]+))?$/;

/** The step of an object; `null` for one that is not copied. A name that nobody knows yet comes last, as it may need anything. */
export function writeStepOf(name: string): WriteStep | null {
  if (isOfOnePlace(name)) return null;
  if (name.startsWith('wal/')) return walStepOf(name);
  if (name === 'format') return 'format';
  for (const step of STEPS) {
    if (step === 'others' || step === 'format') continue;
    if (PREFIXES[step].some((prefix) => name.startsWith(prefix))) return step;
  }
  return 'others';
}

/** The beginnings of all names that a step other than `others` has. */
export function knownPrefixes(): string[] {
  return [...new Set(Object.values(PREFIXES).flat()), ...ONE_PLACE_PREFIXES];
}

export function prefixesOf(step: Exclude<WriteStep, 'others'>): readonly string[] {
  return PREFIXES[step];
}

function walStepOf(name: string): WriteStep {
  const [, part, rest] = WAL_SHAPE.exec(name) ?? [];
  if (part === 'lineage' || part === 'lineage.copy') return 'lineages';
  if (part === 'history') return 'histories';
  if (part === 'segments' || part === 'fragments') return 'wal';
  if (part === 'landmarks') return rest?.includes('.') === true ? 'landmark-summaries' : 'landmarks';
  return 'others';
}

/** What has to be in a place before an object with WAL is put there: its lineage, and the history file of its timeline. */
export function rootsOfWal(name: string): string[] {
  const match = /^(wal\/[^/]+\/[^/]+\/)(?:segments\/([0-9A-F]{8})|fragments\/([0-9a-f]{8}))/.exec(name);
  if (match === null) return [];
  const [, lineage, ofSegment, ofFragment] = match;
  const timeline = (ofSegment ?? ofFragment ?? '').toUpperCase();
  const history = timeline === '00000001' ? [] : [`${lineage}history/${timeline}.history`];
  return [`${lineage}lineage`, `${lineage}lineage.copy`, ...history, ...history.map((file) => `${file}.copy`)];
}

/** The segment that landmarks are about; it has to be in a place before them, as they are how its loss is noticed. */
export function segmentOfLandmarks(name: string): string | null {
  const match = /^(wal\/[^/]+\/[^/]+\/)landmarks\/([0-9A-F]{24})$/.exec(name);
  return match === null ? null : `${match[1]}segments/${match[2]}`;
}
