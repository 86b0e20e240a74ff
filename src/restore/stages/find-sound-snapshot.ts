import { z } from 'zod';
import { codeOf, formatMoment, HoldfastError } from '../../lib/index.ts';
import {
  type FetchChunk,
  type LostChunk,
  listTreeChunks,
  type Repository,
  type SnapshotRecord,
} from '../../repository/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import { readSnapshotFacts, type SnapshotFacts, shortId } from '../snapshot-facts.ts';
import { routeEnd, whyNotOnRoute } from '../wal-route.ts';

/** Trees that are read in search of a sound one; each is some thousandths of its snapshot. */
const TREES_MAX = 12;

interface AdvisorParts {
  readonly repository: Repository;
  readonly proposal: RestoreProposal;
  readonly readChunk: FetchChunk;
}

/**
 * Stands by while a restore reads the repository: an error that tells of damage gets the advice that helps at once, which other snapshot leads
 * to the same position and needs none of what is damaged. Other errors pass unchanged.
 */
export class DamageAdvisor {
  readonly #parts: AdvisorParts;
  #lost: readonly LostChunk[] = [];

  constructor(parts: AdvisorParts) {
    this.#parts = parts;
  }

  /** Takes what no pack could give. */
  readonly noteLost = (lost: readonly LostChunk[]): void => {
    this.#lost = lost;
  };

  async during<Value>(work: Promise<Value>): Promise<Value> {
    try {
      return await work;
    } catch (error) {
      const isDamage = ['CHUNK_DAMAGED', 'CHUNK_ABSENT', 'TREE_INVALID'].includes(codeOf(error) ?? '');
      if (!isDamage || !(error instanceof HoldfastError)) throw error;
      throw withAdvice(error, await findSoundSnapshot(this.#parts, this.#lost));
    }
  }
}

function withAdvice(error: HoldfastError, sound: SnapshotFacts | null): HoldfastError {
  const { code, message, detail, hints, retryable } = error;
  const advice =
    sound === null
      ? 'No other snapshot leads to this position without what is damaged.'
      : `Snapshot ${shortId(sound.id)} of ${formatMoment(sound.completedAt)} leads to the same position without it: add --snapshot ${shortId(sound.id)}.`;
  return new HoldfastError(code, message, {
    ...(detail === undefined ? {} : { detail }),
    // In the place of the general advice to look for an older one.
    hints: [advice, ...hints.filter((hint) => !/older snapshot/.test(hint))],
    retryable,
    cause: error,
  });
}

/** The newest other snapshot that leads to the position of a proposal and needs none of the lost chunks. */
async function findSoundSnapshot(
  { repository, proposal, readChunk }: AdvisorParts,
  lost: readonly LostChunk[],
): Promise<SnapshotFacts | null> {
  const ids = new Set(lost.map(({ id }) => id));
  // All there are: when one was named, the proposal was made from that one alone.
  const { snapshots } = await repository.listSnapshots();
  const others = snapshots
    .flatMap(readFactsOrNothing)
    .filter((snapshot) => snapshot.id !== proposal.snapshot.id && leadsThere(snapshot, proposal))
    .sort((a, b) => (a.end < b.end ? 1 : -1));
  for (const snapshot of others.slice(0, TREES_MAX)) {
    if (await isSound(snapshot, ids, readChunk)) return snapshot;
  }
  return null;
}

function readFactsOrNothing(record: SnapshotRecord): SnapshotFacts[] {
  try {
    return [readSnapshotFacts(record)];
  } catch (error) {
    // A snapshot of another kind is no advice.
    if (error instanceof z.ZodError) return [];
    throw error;
  }
}

function leadsThere(snapshot: SnapshotFacts, { target, wal, route }: RestoreProposal): boolean {
  const isSameCluster = snapshot.system === route.lineage.system && whyNotOnRoute(route, snapshot) === null;
  return isSameCluster && snapshot.end <= target.reachedLsn && routeEnd(route, snapshot.start) >= wal.to;
}

/** Whether the tree can be read and names none of the chunks. */
async function isSound(snapshot: SnapshotFacts, lost: ReadonlySet<string>, readChunk: FetchChunk): Promise<boolean> {
  try {
    for await (const { id } of listTreeChunks(snapshot.treeRoot, readChunk)) {
      if (lost.has(id.toString('hex'))) return false;
    }
    return true;
  } catch (error) {
    // A tree that cannot be read is no advice; the store's own trouble must not hide the damage that is being told.
    if (error instanceof HoldfastError) return false;
    throw error;
  }
}
