import { verifyLedger } from '../../ledger/index.ts';
import { HoldfastError } from '../../lib/index.ts';
import {
  isAbsent,
  kindPrefix,
  listAttestations,
  listSlots,
  type ObjectKind,
  type Repository,
} from '../../repository/index.ts';
import { readCarefully, sentenceOf } from './read-carefully.ts';
import type { UnreadableObject } from './verdict.ts';

/** Everything that is one sealed body and is not read for another reason: packs, index, committed snapshots and WAL have their own checks. */
const kinds: readonly ObjectKind[] = [
  'snapshot-pending',
  'damage',
  'tombstone',
  'hold',
  'run',
  'ledger',
  'erasure',
  'wal-landmarks',
  'wal-landmark-summary',
  'wal-lineage',
  'timeline-history',
];

/** The commit index lies among the WAL, its summaries among the rest of it; and of small objects the second copies are not read otherwise. */
const namesOfKind: Partial<Record<ObjectKind, RegExp>> = {
  'wal-landmarks': /^wal\/[^/]+\/[^/]+\/landmarks\/(?![^/]*\.level\d+$)/,
  'wal-landmark-summary': /^wal\/[^/]+\/[^/]+\/landmarks\/[^/]*\.level\d+$/,
  'wal-lineage': /\/lineage\.copy$/,
  'timeline-history': /\.history\.copy$/,
};

/** What came of opening every record. */
export interface RecordCheck {
  readonly unreadable: UnreadableObject[];
  readonly denied: UnreadableObject[];
  readonly flaky: string[];
  /** Snapshots about which there is a statement, with the number of those that can be believed. */
  readonly attested: ReadonlyMap<string, number>;
}

/**
 * Opens every record of a repository, checks the signatures of statements, and tries the key slots for their form.
 *
 * With a state directory the chains of the ledger are walked too, which remembers their heads there. Errors: those of the store.
 */
export async function checkRecords(repository: Repository, stateDirectory: string | null): Promise<RecordCheck> {
  const unreadable: UnreadableObject[] = [];
  const denied: UnreadableObject[] = [];
  const flaky: string[] = [];
  for (const kind of kinds) {
    for await (const { name } of repository.store.list(kindPrefix(kind))) {
      if (namesOfKind[kind]?.test(name) === false) continue;
      const reading = await readCarefully(repository, () => repository.getBody(kind, name));
      if (reading.kind === 'read' && reading.flaky) flaky.push(name);
      // Removed since it was listed, as pending records are.
      if (reading.kind === 'read' || isAbsent(reading.error)) continue;
      (reading.kind === 'denied' ? denied : unreadable).push({ object: name, sentence: sentenceOf(reading.error) });
    }
  }
  const attested = await checkAttestations(repository, unreadable);
  const { damaged } = await listSlots(repository);
  unreadable.push(...damaged.map((object) => ({ object, sentence: 'It is no key slot that can be read.' })));
  if (stateDirectory !== null) await checkLedger(repository, stateDirectory, unreadable);
  return { unreadable, denied, flaky, attested };
}

async function checkAttestations(
  repository: Repository,
  unreadable: UnreadableObject[],
): Promise<ReadonlyMap<string, number>> {
  const attested = new Map<string, number>();
  const prefix = kindPrefix('attestation');
  for await (const { name } of repository.store.list(prefix)) {
    const [snapshot = '', ...rest] = name.slice(prefix.length).split('/');
    if (attested.has(snapshot) || rest.length !== 1) continue;
    let { attestations, refused } = await listAttestations(repository, snapshot);
    if (refused.length > 0) ({ attestations, refused } = await listAttestations(repository, snapshot));
    attested.set(snapshot, attestations.length);
    for (const { name, reason } of refused) unreadable.push({ object: name, sentence: reason });
  }
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
