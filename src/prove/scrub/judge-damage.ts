import type { WalInventory } from '../../protect/wal/index.ts';
import {
  type DamageState,
  DOUBTS_PREFIX,
  damageRecordName,
  kindPrefix,
  type SnapshotRecord,
} from '../../repository/index.ts';
import { describeCost } from './describe-damage.ts';
import type { PackFinding } from './pack-check.ts';
import type { ReverseMap } from './reverse-map.ts';
import type { DamagedObject, SnapshotCost, UnreadableObject, WalCost } from './verdict.ts';
import { lostRanges, type PlacedWal, type WalCheck } from './wal-check.ts';
import { costOfWal, harmedByLoss, type WalSurroundings } from './wal-cost.ts';

/** Everything that is known when damage is judged. */
export interface Findings {
  readonly surroundings: WalSurroundings;
  readonly packs: readonly PackFinding[];
  readonly wal: WalCheck;
  /** Index objects that cannot be read, and whether packs are there that no readable one names. */
  readonly index: readonly UnreadableObject[];
  readonly unindexedPacks: number;
  /** Committed records that are damaged, and whether a pending record serves in their place. */
  readonly snapshots: readonly (UnreadableObject & { readonly id: string; readonly isServed: boolean })[];
  readonly records: readonly UnreadableObject[];
  /** Statements that can be believed, by snapshot. */
  readonly attested: ReadonlyMap<string, number>;
  readonly reverse: ReverseMap;
  /** The names of damage records that were there before. */
  readonly known: ReadonlySet<string>;
}

/** What each finding costs, in what state it is, and what to do about it. Errors: those of the store. */
export async function judgeDamage(findings: Findings): Promise<DamagedObject[]> {
  const judged = [
    ...findings.packs.map((finding) => judgePack(findings, finding)),
    ...judgeIndex(findings),
    ...findings.snapshots.map((record) => judgeSnapshotRecord(findings, record)),
    ...[...findings.wal.sound.damaged, ...(findings.wal.sound.replaced ?? [])].map(({ objectName, error }) =>
      judgeWalRecord(findings, objectName, error.detail ?? error.message),
    ),
    ...findings.records.map((record) => judgeRecord(findings, record)),
  ];
  for (const object of findings.wal.lost) judged.push(await judgeWal(findings, object));
  return judged;
}

const backupAdvice = 'Run holdfast backup: it stores again what the server still has. Then run holdfast verify.';
const copyAdvice = 'Put the object back from a copy of the repository, if there is one.';

/** No copy has it: what is announced is about one place. */
const tombstoneAdvice = (object: string) =>
  `When no prune and no backup is running, delete object "${object}" with the means of the place; then run holdfast verify, before anything else: it records packs that are gone, so that no backup counts on them.`;

function judgePack(findings: Findings, { pack, sentences }: PackFinding): DamagedObject {
  const snapshots = findings.reverse.costs.get(pack) ?? [];
  const isCertain = !findings.reverse.unproven.has(pack);
  return judge(findings, {
    object: pack,
    sentences,
    snapshots,
    isHealed: isCertain,
    advice: [backupAdvice, `${copyAdvice} Older snapshots need contents that the server may have changed since.`],
  });
}

function judgeIndex(findings: Findings): DamagedObject[] {
  const snapshots = findings.reverse.costs.get('') ?? [];
  const advice = ['Run holdfast repository heal: it reads from the packs where their chunks lie.', backupAdvice];
  const objects = [...findings.index];
  // What no index object names, with all of them readable, was named by one that is gone.
  if (objects.length === 0 && snapshots.length > 0) {
    const packs = findings.unindexedPacks;
    const sentence = `Snapshots need chunks that no index object names; ${packs === 1 ? 'one pack is' : `${packs} packs are`} named by none.`;
    objects.push({ object: kindPrefix('index'), sentence });
  }
  return objects.map(({ object, sentence }) =>
    judge(findings, {
      ...{ object, sentences: [sentence], snapshots, advice },
      isHealed: findings.unindexedPacks === 0,
    }),
  );
}

function judgeSnapshotRecord(findings: Findings, record: Findings['snapshots'][number]): DamagedObject {
  const { object, sentence, id, isServed } = record;
  if (isServed) {
    const judged = judge(findings, { object, sentences: [sentence], snapshots: [], isHealed: true, advice: [] });
    return { ...judged, costSentence: `The record of snapshot ${id.slice(0, 12)} is read from its pending copy.` };
  }
  const costSentence = `Snapshot ${id.slice(0, 12)} cannot be listed or restored; its files may be sound.`;
  return { ...harmful(object, sentence), costSentence, advice: [copyAdvice, 'Run holdfast backup.'] };
}

/** The first object of a lineage, a history file, or a name that none has. */
function judgeWalRecord(findings: Findings, object: string, sentence: string): DamagedObject {
  const { sound, snapshots } = findings.surroundings;
  const [, , lineage = '', part = '', file = ''] = object.split('/');
  if (part !== 'lineage' && part !== 'history') {
    return judge(findings, { object, sentences: [sentence], snapshots: [], isHealed: false, advice: [] });
  }
  const timeline = Number.parseInt(file, 16);
  const isServed = part === 'lineage' ? hasLineage(sound, lineage) : hasHistory(sound, lineage, timeline);
  const harmed = snapshots.filter(
    ({ wal }) => !isServed && wal.lineage === lineage && (part === 'lineage' || wal.timeline === timeline),
  );
  const judged = judge(findings, {
    ...{ object, sentences: [sentence], isHealed: isServed },
    snapshots: harmed.map(wholeSnapshot),
    advice: [copyAdvice, backupAdvice],
  });
  if (isServed) return { ...judged, costSentence: 'A second copy of it is read in its place.' };
  const lost = part === 'lineage' ? 'No WAL of its lineage can be used.' : `Timeline ${timeline} cannot be followed.`;
  return {
    ...judged,
    state: 'harmful',
    costSentence: `${lost} ${harmed.length === 0 ? '' : judged.costSentence}`.trim(),
  };
}

function hasLineage(inventory: WalInventory, lineage: string): boolean {
  return inventory.lineages.some((each) => each.lineage === lineage);
}

function hasHistory(inventory: WalInventory, lineage: string, timeline: number): boolean {
  return inventory.lineages.some((each) => each.lineage === lineage && each.histories.has(timeline));
}

async function judgeWal(findings: Findings, object: PlacedWal): Promise<DamagedObject> {
  const { surroundings } = findings;
  const sentence = findings.wal.findings.find((finding) => finding.object === object.objectName)?.sentence ?? '';
  const ranges = lostRanges(surroundings.sound, object);
  const wal: WalCost[] = [];
  for (const range of ranges) wal.push(await costOfWal(surroundings, object, range));
  return judge(findings, {
    ...{ object: object.objectName, sentences: [sentence], wal, isHealed: ranges.length === 0 },
    snapshots: harmedByLoss(surroundings.snapshots, object, ranges).map(wholeSnapshot),
    advice: [
      'Run holdfast repository heal while the server still has this WAL, or holdfast wal rescue with its data directory.',
      // A backup that was begun behind the loss has done that already.
      ...(wal.some(({ to }) => to === null)
        ? ['Run holdfast backup now: from its end on, moments can be restored again.']
        : []),
    ],
  });
}

/** A statement, an entry of the ledger, a key slot and the like: no restore needs any of them. */
function judgeRecord(findings: Findings, { object, sentence }: UnreadableObject): DamagedObject {
  const snapshot = object.startsWith(kindPrefix('attestation')) ? object.split('/')[1]! : null;
  const isSaidAgain = snapshot !== null && (findings.attested.get(snapshot) ?? 0) > 0;
  const isServed = isSaidAgain || isNotNeeded(findings, object);
  const judged = judge(findings, {
    ...{ object, sentences: [sentence], snapshots: [], isHealed: isServed },
    advice: adviceOnRecord(object),
  });
  // No snapshot is harmed by it, and yet there is something to be done before anybody can write.
  const advice = object.startsWith(kindPrefix('tombstone')) ? adviceOnRecord(object) : judged.advice;
  return { ...judged, costSentence: costOfRecord(object), advice };
}

/**
 * The pending record of what is committed; a word about damage, which counts by its name alone; the commit index, as the WAL itself is there; a
 * second copy.
 */
function isNotNeeded({ surroundings }: Findings, object: string): boolean {
  const pending = kindPrefix('snapshot-pending');
  if (object.startsWith(pending)) return surroundings.snapshots.some(({ id }) => object === pending + id);
  return object.startsWith(kindPrefix('damage')) || object.includes('/landmarks/') || object.endsWith('.copy');
}

function costOfRecord(object: string): string {
  if (object.startsWith(DOUBTS_PREFIX))
    return 'It says of some snapshots that they are in doubt, and now nothing does.';
  if (object.startsWith('keys/')) return 'Whoever has only this key may no longer be able to open the repository.';
  if (object.startsWith('features/'))
    return 'An older version could misread what it should refuse; no restore needs it.';
  if (object.startsWith(kindPrefix('tombstone')))
    return 'Nobody may write until it can be read: it says what is about to be deleted.';
  if (object.startsWith(kindPrefix('ledger'))) return 'What was done then cannot be proved; no restore needs it.';
  if (object.includes('/landmarks/')) return 'It is a part of the commit index: the WAL itself is read in its place.';
  if (object.endsWith('.copy')) return 'It is the second copy of an object that is there.';
  return 'No restore needs it.';
}

function adviceOnRecord(object: string): string[] {
  if (object.startsWith(DOUBTS_PREFIX))
    return [copyAdvice, 'Run holdfast backup --type full, which owes nothing to what may be in doubt.'];
  if (object.startsWith(kindPrefix('attestation'))) return ['Run holdfast verify: what is sound is attested again.'];
  if (object.startsWith(kindPrefix('snapshot-pending')) || object.startsWith(kindPrefix('damage'))) return [];
  if (object.startsWith(kindPrefix('tombstone'))) return [tombstoneAdvice(object)];
  return [copyAdvice];
}

function judge(
  findings: Findings,
  found: {
    object: string;
    sentences: readonly string[];
    snapshots: readonly SnapshotCost[];
    wal?: readonly WalCost[];
    /** Whether all that was lost by it is there again, should nothing be charged to it. */
    isHealed: boolean;
    advice: readonly string[];
  },
): DamagedObject {
  const { object, sentences, snapshots, wal = [], isHealed, advice } = found;
  const isKnown = findings.known.has(damageRecordName(object));
  const state: DamageState =
    snapshots.length + wal.length > 0 ? 'harmful' : isKnown && isHealed ? 'healed' : 'harmless';
  const costSentence = describeCost(snapshots, wal, findings.surroundings.snapshots);
  return { object, sentences, state, costSentence, snapshots, wal, advice: state === 'harmful' ? advice : [] };
}

function harmful(object: string, sentence: string): DamagedObject {
  return { object, sentences: [sentence], state: 'harmful', costSentence: '', snapshots: [], wal: [], advice: [] };
}

function wholeSnapshot({ id, cluster, completedAt, tree }: SnapshotRecord): SnapshotCost {
  return { snapshot: id, cluster, completedAt, files: tree.files, names: [] };
}
