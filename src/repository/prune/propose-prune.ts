import { INDEX_CHUNKS_MAX } from '../index/index.ts';
import { committedName, pendingName } from '../snapshot/index.ts';
import type { IndexObjectFacts, LeaseFacts, PackFacts, PruneFacts } from './facts.ts';
import { DEFAULT_MARGINS, LIVE_SHARE_MIN, type PruneMargins, SKEW_MS, SMALL_INDEX_OBJECTS_MAX } from './margins.ts';

/** Why something stays for now. */
export type WaitReason =
  /** Announced a moment ago. */
  | 'grace'
  /** Announced; its chunks went on elsewhere a moment ago, and readers may not know. */
  | 'moved'
  /** Somebody who began before the announcement is still at work. */
  | 'lease'
  /** Nothing needs it, but it is too young for a leftover. */
  | 'young'
  /** Announced, and some of its live chunks are in no pack yet that may be counted on. */
  | 'live'
  /** Live chunks of it were to be stored again, and one cannot be read. */
  | 'damaged'
  /** A lock holds it. */
  | 'locked'
  /** The primary has it still. */
  | 'primary'
  /** Somebody has put it under a hold meanwhile. */
  | 'held'
  /** The budget was used up. */
  | 'budget';

/** What stays for now. `until`: by the store's time in milliseconds, where it is known. */
export interface Waiting {
  readonly name: string;
  readonly bytes: number;
  readonly reason: WaitReason;
  readonly until: number | null;
}

export interface RepackedPack {
  readonly id: string;
  readonly bytes: number;
  readonly liveBytes: number;
  readonly liveChunks: number;
  /** Whether it is announced already, so that its chunks have to be stored elsewhere whatever it costs. */
  readonly isAnnounced: boolean;
}

/** An object that goes. */
export interface OtherObject {
  readonly name: string;
  readonly bytes: number;
}

/** What is to be done, and the state that it was made from. Bytes are of stored objects. */
export interface PruneProposal {
  readonly madeFrom: PruneFacts;
  readonly withdraw: readonly string[];
  readonly forget: readonly string[];
  /** Those with the fewest live bytes first, but announced ones before all. */
  readonly repack: readonly RepackedPack[];
  readonly announce: readonly { readonly id: string; readonly bytes: number }[];
  readonly delete: readonly { readonly id: string; readonly bytes: number }[];
  readonly supersede: Superseding;
  /** Objects that are no packs and that nothing needs, as their owner says: in each unit one goes after the other. */
  readonly others: readonly (readonly OtherObject[])[];
  /** Small objects that have done their work. */
  readonly clearUp: ClearUp;
  readonly waiting: readonly Waiting[];
  /** Whether a pending snapshot that cannot be read keeps everything else back. */
  readonly isHeldBack: boolean;
}

/** Names of small objects that have done their work; tombstones go last. */
export interface ClearUp {
  readonly small: readonly string[];
  readonly tombstones: readonly string[];
}

/** Index objects that go, and the packs that have to be named by new ones first, as no other object that stays names them. */
export interface Superseding {
  readonly objects: readonly string[];
  readonly rewrite: readonly string[];
}

/**
 * Decides what is to be done about a state. Pure: whoever shows it and whoever carries it out see the same.
 *
 * Announced packs go when they were announced long enough before the state was looked at and every live chunk of them is elsewhere; all else is as
 * `docs/prune.md` has it.
 */
export function proposePrune(
  facts: PruneFacts,
  options: { margins?: PruneMargins; others?: PruneProposal['others'] } = {},
): PruneProposal {
  const margins = options.margins ?? DEFAULT_MARGINS;
  const living = facts.leases.filter(({ isAlive }) => isAlive);
  const withdraw = proposeWithdrawals(facts, living, margins);
  if (facts.unreadablePending.length > 0) return heldBack(facts, withdraw);
  const waiting: Waiting[] = [];
  const [repack, announce, gone]: [RepackedPack[], PackFacts[], PackFacts[]] = [[], [], []];
  for (const pack of facts.packs) {
    const verdict = judgePack(pack, { facts, living, margins });
    if (verdict === 'stays') continue;
    if (verdict === 'repack') repack.push(toRepack(pack));
    else if (verdict === 'announce') announce.push(pack);
    else if (verdict === 'delete') gone.push(pack);
    else waiting.push({ name: packNameOf(pack), bytes: bytesOf(pack), ...verdict });
  }
  repack.sort((a, b) => Number(b.isAnnounced) - Number(a.isAnnounced) || a.liveBytes - b.liveBytes);
  return {
    madeFrom: facts,
    ...{ withdraw, forget: facts.forget, repack, waiting, isHeldBack: false },
    announce: announce.map(toSized),
    delete: gone.filter(({ stored }) => stored !== null).map(toSized),
    supersede: proposeSuperseding(facts, gone),
    others: options.others ?? [],
    clearUp: proposeClearUp(facts, margins),
  };
}

function heldBack(facts: PruneFacts, withdraw: string[]): PruneProposal {
  return {
    madeFrom: facts,
    ...{ withdraw, forget: [], repack: [], announce: [], delete: [], others: [], waiting: [] },
    clearUp: { small: [], tombstones: [] },
    supersede: { objects: [], rewrite: [] },
    isHeldBack: true,
  };
}

/** Those without a lease that could be theirs: it was taken before they were put. */
function proposeWithdrawals(facts: PruneFacts, living: readonly LeaseFacts[], { withdrawMs }: PruneMargins): string[] {
  return facts.pending
    .filter(({ state, storedAt }) => state === 'open' && storedAt + withdrawMs <= facts.takenAt)
    .filter(({ storedAt }) => !living.some(({ began }) => began <= storedAt + SKEW_MS))
    .map(({ id }) => id);
}

type Verdict = 'stays' | 'repack' | 'announce' | 'delete' | Pick<Waiting, 'reason' | 'until'>;

function judgePack(
  pack: PackFacts,
  { facts, living, margins }: { facts: PruneFacts; living: readonly LeaseFacts[]; margins: PruneMargins },
): Verdict {
  const { stored, announcedAt, liveChunks, liveBytes, sharedChunks, leaningChunks, isDamaged, chunkBytes } = pack;
  if (announcedAt !== null) {
    if (liveChunks > 0) return stored === null || isDamaged ? 'stays' : 'repack';
    // Named by an index object that somebody wrote late: that one goes, as the pack went.
    if (stored === null) return pack.isIndexed ? 'delete' : 'stays';
    // Another announced pack is no place to rest on: its chunks have to be stored again from there first.
    if (leaningChunks > 0) return { reason: 'live', until: null };
    const until = announcedAt + (sharedChunks > 0 ? Math.max(margins.graceMs, margins.movedMs) : margins.graceMs);
    if (until > facts.takenAt) return { reason: sharedChunks > 0 ? 'moved' : 'grace', until };
    if (living.some(({ began }) => began <= announcedAt + SKEW_MS)) return { reason: 'lease', until: null };
    return 'delete';
  }
  if (stored === null) return 'stays';
  if (liveChunks > 0) {
    const isMostlyDead = liveBytes < LIVE_SHARE_MIN * chunkBytes && !isDamaged;
    return isMostlyDead && isOldEnough(pack, facts, living, margins) ? 'repack' : 'stays';
  }
  if (isOldEnough(pack, facts, living, margins)) return 'announce';
  return { reason: 'young', until: stored.storedAt + margins.leftoverMs };
}

/** Whoever is at work may not be done with what is younger than they are. */
function isOldEnough(
  { stored }: PackFacts,
  { takenAt }: PruneFacts,
  living: readonly LeaseFacts[],
  { leftoverMs }: PruneMargins,
): boolean {
  const { storedAt } = stored!;
  return storedAt + leftoverMs <= takenAt && living.every(({ began }) => storedAt < began - SKEW_MS);
}

/**
 * Index objects that name what goes, that newer ones have taken the place of already, or that are small and many; and the packs that nobody else would name.
 */
function proposeSuperseding(facts: PruneFacts, gone: readonly PackFacts[]): Superseding {
  const leaving = new Set(gone.map(({ id }) => id));
  const replaced = new Set(facts.tombstones.flatMap(({ index }) => index));
  const small = facts.indexObjects.filter(({ name, chunks }) => !replaced.has(name) && chunks < INDEX_CHUNKS_MAX / 4);
  const joined = new Set(small.length > SMALL_INDEX_OBJECTS_MAX ? small.map(({ name }) => name) : []);
  const goes = ({ name, packs }: IndexObjectFacts) =>
    replaced.has(name) || joined.has(name) || packs.some((id) => leaving.has(id));
  const objects = facts.indexObjects.filter(goes);
  const named = new Set(facts.indexObjects.filter((object) => !goes(object)).flatMap(({ packs }) => packs));
  const rewrite = new Set(objects.flatMap(({ packs }) => packs.filter((id) => !leaving.has(id) && !named.has(id))));
  return { objects: objects.map(({ name }) => name), rewrite: [...rewrite] };
}

function proposeClearUp(facts: PruneFacts, margins: PruneMargins): ClearUp {
  const before = (margin: number) => facts.takenAt - margin;
  const known = new Set(facts.packs.map(({ id }) => id));
  const indexNames = new Set(facts.indexObjects.map(({ name }) => name));
  const isDone = ({ packs, index }: { packs: readonly string[]; index: readonly string[] }) =>
    !packs.some((id) => known.has(id)) && !index.some((name) => indexNames.has(name));
  const tombstones = facts.tombstones.filter((each) => each.storedAt <= before(margins.tombstoneMs) && isDone(each));
  const damage = tombstones.flatMap(({ packs }) => packs.flatMap((id) => facts.damage.get(id) ?? []));
  const withdrawnPending = facts.pending.filter(({ state }) => state === 'withdrawn');
  const stillPending = new Set(facts.pending.map(({ id }) => id));
  const withdrawals = facts.withdrawn.filter(
    ({ id, storedAt }) => storedAt <= before(margins.withdrawalMs) && !stillPending.has(id),
  );
  const leases = facts.leases.filter(({ isAlive, storedAt }) => !isAlive && storedAt <= before(margins.leaseMs));
  const small = [
    ...withdrawnPending.map(({ id }) => pendingName(id)),
    ...withdrawals.map(({ id }) => committedName(id)),
    ...leases.map(({ name }) => name),
    ...damage,
  ];
  return { small, tombstones: tombstones.map(({ name }) => name) };
}

function toRepack(pack: PackFacts): RepackedPack {
  const { id, liveBytes, liveChunks } = pack;
  return { id, bytes: bytesOf(pack), liveBytes, liveChunks, isAnnounced: pack.announcedAt !== null };
}

function toSized(pack: PackFacts): { id: string; bytes: number } {
  return { id: pack.id, bytes: bytesOf(pack) };
}

function bytesOf({ stored }: PackFacts): number {
  return stored?.bytes ?? 0;
}

function packNameOf({ id }: PackFacts): string {
  return `packs/${id}`;
}
