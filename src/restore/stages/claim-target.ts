import { chmod, chown, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatLsn, parseLsn } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import { ASIDE_PREFIX, type RestoreMarker, writeMarker } from '../restore-marker.ts';
import { type Owner, RecoverySpool } from '../spool/index.ts';
import { claimTablespaces, emptyLeftTablespaces } from './claim-tablespaces.ts';
import { refuseRunning, type TargetPlace } from './inspect-target.ts';
import { moveAside } from './move-aside.ts';
import { MADE_NAMES } from './write-recovery.ts';

/** A directory that is ours for this restore: marked, and empty save for what a delta, or a restore that was broken off, goes over. */
export class ClaimedTarget {
  readonly path: string;
  /** Who shall own what is restored; undefined leaves it to whoever runs us. */
  readonly owner: Owner | undefined;
  /** Whether it holds what a restore that was broken off has brought: what of that is right stays. */
  readonly goesOn: boolean;
  #marker: RestoreMarker;

  constructor(options: { path: string; owner: Owner | undefined; marker: RestoreMarker; goesOn?: boolean }) {
    this.path = options.path;
    this.owner = options.owner;
    this.goesOn = options.goesOn ?? false;
    this.#marker = options.marker;
  }

  get marker(): RestoreMarker {
    return this.#marker;
  }

  async mark(state: RestoreMarker['state'], reason?: string): Promise<void> {
    await this.#write({ state, ...(reason === undefined ? {} : { reason }) });
  }

  /** All that does not belong to the data lies in the directory aside: what is at the top from now on is ours. */
  async markAsideComplete(): Promise<void> {
    const { aside } = this.#marker;
    if (aside !== undefined) await this.#write({ aside: { ...aside, isComplete: true } });
  }

  async #write(changes: Partial<RestoreMarker>): Promise<void> {
    this.#marker = { ...this.#marker, ...changes };
    await writeMarker(this.path, this.#marker, this.owner);
  }
}

/**
 * Makes the directory, which `occupyTarget` holds, ours: the marker is durable before the first file is written, so that a restore broken off at any point is known for
 * what it is. The files that an earlier restore of ours left there stay, to be gone over; a delta moves aside what is not data, the control file
 * before all else (rule A12). In the end there are the directories of the tablespaces and the links to them.
 *
 * Errors: RESTORE_TARGET_RUNNING when a server was started there since the place was looked at; of the file system as they are.
 */
export async function claimTarget(options: {
  place: TargetPlace;
  proposal: RestoreProposal;
  topLevel: readonly string[];
  owner: Owner | undefined;
  startedAt: number;
}): Promise<ClaimedTarget> {
  const { place, proposal, owner } = options;
  // Looked at when it was proposed, and somebody may have thought about that for long.
  if (place.state === 'used') await refuseRunning(place.path);
  await chmod(place.path, 0o700);
  if (owner !== undefined) await chown(place.path, owner.uid, owner.gid);
  const goesOn = place.state === 'unfinished';
  const target = new ClaimedTarget({ path: place.path, owner, marker: makeMarker(options), goesOn });
  const spool = new RecoverySpool(place.path, owner);
  // Before another end of WAL is written down: by that the next attempt tells which segments are whole.
  if (goesOn) await spool.clear(wholeSegments(place, proposal));
  await writeMarker(place.path, target.marker, owner);
  // What a restore that was done with it left of its WAL; all of it came from the repository.
  if (!goesOn) await spool.dispose();
  if (proposal.manner === 'delta') await moveAside(target, namesMadeBefore(place));
  else await removeLeft(place, target.marker);
  await claimTablespaces(target, proposal);
  return target;
}

function makeMarker({
  place,
  proposal,
  topLevel,
  startedAt,
}: {
  place: TargetPlace;
  proposal: RestoreProposal;
  topLevel: readonly string[];
  startedAt: number;
}): RestoreMarker {
  const { target, manner, snapshot } = proposal;
  const at = new Date(startedAt).toISOString();
  const aside = { name: `${ASIDE_PREFIX}${at.replaceAll(/[-:]|\.\d+/g, '')}`, isComplete: false };
  return {
    version: 1,
    state: 'restoring',
    manner,
    system: snapshot.system,
    repository: proposal.madeFrom.repository,
    snapshot: snapshot.id,
    startedAt: at,
    topLevel: [...new Set([...topLevel, ...MADE_NAMES, ...(place.marker?.topLevel ?? [])])].sort(),
    tablespaces: proposal.tablespaces.flatMap(({ oid, path }) => (path === null ? [] : [{ oid, path }])),
    target: {
      reachedLsn: formatLsn(target.reachedLsn),
      recordLsn: formatLsn(target.recordLsn),
      inclusive: target.inclusive,
      timeline: target.timeline,
    },
    wal: { ...walOf(proposal), to: formatLsn(proposal.wal.to) },
    // A repetition goes on with the directory in which the first one began to put things.
    ...(manner === 'delta' ? { aside: place.marker?.aside ?? aside } : {}),
  };
}

function walOf({ route, target }: RestoreProposal): { lineage: string; timeline: number } {
  return { lineage: route.lineage.lineage, timeline: target.timeline };
}

/**
 * Segments that a broken-off restore may have brought and that are wanted again: of the same history, and whole, as the first one already
 * needed them to their ends. One that is brought while the server recovers is never kept: nobody made it durable.
 */
function wholeSegments({ state, marker }: TargetPlace, proposal: RestoreProposal): ReadonlySet<string> {
  const { lineage, timeline } = walOf(proposal);
  const known = state === 'unfinished' ? marker?.wal : undefined;
  if (proposal.start || known?.lineage !== lineage || known.timeline !== timeline) return new Set();
  const segmentBytes = BigInt(proposal.route.lineage.header.segmentBytes);
  const isWhole = (number: bigint) => (number + 1n) * segmentBytes <= parseLsn(known.to);
  return new Set(
    proposal.wal.files.flatMap((file) => (file.kind === 'segment' && isWhole(file.segmentNumber) ? [file.name] : [])),
  );
}

/** What an earlier attempt made at the top; nothing as long as a delta had not moved all the rest out of the way. */
function namesMadeBefore({ marker }: TargetPlace): readonly string[] {
  if (marker === null || (marker.manner === 'delta' && marker.aside?.isComplete !== true)) return [];
  return marker.topLevel;
}

/**
 * Of what a broken-off restore of ours left: its WAL, and tablespaces that go elsewhere now. Whatever else does not belong is swept away while the
 * files are gone over.
 */
async function removeLeft({ path, marker }: TargetPlace, now: RestoreMarker): Promise<void> {
  if (marker === null) return;
  await rm(join(path, 'pg_wal'), { recursive: true, force: true });
  const kept = new Set(now.tablespaces.map((space) => space.path));
  await emptyLeftTablespaces(path, {
    ...marker,
    tablespaces: marker.tablespaces.filter((space) => !kept.has(space.path)),
  });
}
