import { verifyLedger } from '../../ledger/index.ts';
import { HoldfastError, mapAhead } from '../../lib/index.ts';
import {
  checkKeyObjects,
  DOUBTS_PREFIX,
  isAbsent,
  kindPrefix,
  listAttestations,
  listDoubts,
  type ObjectKind,
  type Repository,
} from '../../repository/index.ts';
import { readCarefully, sentenceOf } from './read-carefully.ts';
import type { UnreadableObject } from './verdict.ts';

/** Everything that is one sealed body and is not read for another reason: packs, index, committed snapshots and WAL have their own checks. */
const kinds: readonly ObjectKind[] = [
  'snapshot-pending',
  'snapshot-forgotten',
  'damage',
  'tombstone',
  'hold',
  'run',
  'ledger',
  'erasure',
  'wal-landmarks',
  'wal-landmark-summary',
  'wal-changes',
  'wal-lineage',
  'timeline-history',
];

/** The commit index lies among the WAL, its summaries among the rest of it; and of small objects the second copies are not read otherwise. */
const namesOfKind: Partial<Record<ObjectKind, RegExp>> = {
  'wal-landmarks': /^wal\/[^/]+\/[^/]+\/landmarks\/(?![^/]*\.(?:level|changes)\d*$)/,
  'wal-landmark-summary': /^wal\/[^/]+\/[^/]+\/landmarks\/[^/]*\.level\d+$/,
  'wal-changes': /^wal\/[^/]+\/[^/]+\/landmarks\/[^/]*\.changes\d*$/,
  'wal-lineage': /\/lineage\.copy$/,
  'timeline-history': /\.history\.copy$/,
};

/** Kinds that are gone through at the same time, and records of each that are asked for at once; the largest are some 100 KiB. */
const KINDS_MAX = 4;
const READS_MAX = 8;

/** What came of opening every record. */
export interface RecordCheck {
  readonly unreadable: UnreadableObject[];
  readonly denied: UnreadableObject[];
  readonly flaky: string[];
  /** Snapshots about which there is a statement, with the number of those that can be believed. */
  readonly attested: ReadonlyMap<string, number>;
}

/**
 * Opens every record of a repository, checks the signatures of statements, and tells key objects that are not as they were written.
 *
 * With a state directory the chains of the ledger are walked too, which remembers their heads there. Errors: those of the store.
 */
export async function checkRecords(repository: Repository, stateDirectory: string | null): Promise<RecordCheck> {
  const unreadable: UnreadableObject[] = [];
  const denied: UnreadableObject[] = [];
  const flaky: string[] = [];
  for await (const found of mapAhead(kinds, { atOnceMax: KINDS_MAX }, (kind) => checkKind(repository, kind))) {
    unreadable.push(...found.unreadable);
    denied.push(...found.denied);
    flaky.push(...found.flaky);
  }
  const attested = await checkAttestations(repository, unreadable);
  unreadable.push(...(await checkKeyObjects(repository)));
  if (stateDirectory !== null) await checkLedger(repository, stateDirectory, unreadable);
  return { unreadable, denied, flaky, attested };
}

async function checkKind(
  repository: Repository,
  kind: ObjectKind,
): Promise<Pick<RecordCheck, 'unreadable' | 'denied' | 'flaky'>> {
  const found: Pick<RecordCheck, 'unreadable' | 'denied' | 'flaky'> = { unreadable: [], denied: [], flaky: [] };
  const read = async ({ name }: { name: string }) => {
    if (namesOfKind[kind]?.test(name) === false) return null;
    return { name, reading: await readCarefully(repository, () => repository.getBody(kind, name)) };
  };
  const listed = repository.store.list(kindPrefix(kind));
  for await (const each of mapAhead(listed, { atOnceMax: READS_MAX }, read)) {
    if (each === null) continue;
    const { name, reading } = each;
    if (reading.kind === 'read' && reading.flaky) found.flaky.push(name);
    // Removed since it was listed, as pending records are.
    if (reading.kind === 'read' || isAbsent(reading.error)) continue;
    found[reading.kind === 'denied' ? 'denied' : 'unreadable'].push({
      object: name,
      sentence: sentenceOf(reading.error),
    });
  }
  return found;
}

async function checkAttestations(
  repository: Repository,
  unreadable: UnreadableObject[],
): Promise<ReadonlyMap<string, number>> {
  const attested = new Map<string, number>();
  const prefix = kindPrefix('attestation');
  const snapshots = new Set<string>();
  for await (const { name } of repository.store.list(prefix)) {
    if (name.startsWith(DOUBTS_PREFIX)) continue;
    const [snapshot = '', ...rest] = name.slice(prefix.length).split('/');
    if (rest.length === 1) snapshots.add(snapshot);
  }
  const read = async (snapshot: string) => {
    const first = await listAttestations(repository, snapshot);
    return { snapshot, ...(first.refused.length > 0 ? await listAttestations(repository, snapshot) : first) };
  };
  for await (const { snapshot, attestations, refused } of mapAhead(snapshots, { atOnceMax: READS_MAX }, read)) {
    attested.set(snapshot, attestations.length);
    for (const { name, reason } of refused) unreadable.push({ object: name, sentence: reason });
  }
  const doubts = await listDoubts(repository);
  const { refused } = doubts.refused.length > 0 ? await listDoubts(repository) : doubts;
  for (const { name, reason } of refused) unreadable.push({ object: name, sentence: reason });
  return attested;
}

async function checkLedger(
  repository: Repository,
  stateDirectory: string,
  unreadable: UnreadableObject[],
): Promise<void> {
  const told = new Set(unreadable.map(({ object }) => object));
  try {
    const { problems } = await verifyLedger(repository, stateDirectory);
    for (const { name, detail } of problems) if (!told.has(name)) unreadable.push({ object: name, sentence: detail });
  } catch (error) {
    // An entry that we may not read was told above.
    if (!(error instanceof HoldfastError) || error.code !== 'STORE_DENIED') throw error;
  }
}
