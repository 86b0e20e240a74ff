import { chmod, chown, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatLsn } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import { ASIDE_PREFIX, type RestoreMarker, writeMarker } from '../restore-marker.ts';
import { type Owner, SPOOL_DIRECTORY } from '../spool/index.ts';
import { claimTablespaces, emptyLeftTablespaces } from './claim-tablespaces.ts';
import { refuseRunning, type TargetPlace } from './inspect-target.ts';
import { moveAside } from './move-aside.ts';
import { MADE_NAMES } from './write-recovery.ts';

/** A directory that is ours for this restore: marked, and empty save for what a delta goes over. */
export class ClaimedTarget {
  readonly path: string;
  /** Who shall own what is restored; undefined leaves it to whoever runs us. */
  readonly owner: Owner | undefined;
  #marker: RestoreMarker;

  constructor(path: string, owner: Owner | undefined, marker: RestoreMarker) {
    this.path = path;
    this.owner = owner;
    this.#marker = marker;
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
 * what it is. What an earlier restore of ours left there is removed first; a delta instead moves aside what is not data, the control file
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
  const target = new ClaimedTarget(place.path, owner, makeMarker(options));
  await writeMarker(place.path, target.marker, owner);
  // What an earlier attempt, or a restore that was done with it, left of its WAL; all of it came from the repository.
  await rm(join(place.path, SPOOL_DIRECTORY), { recursive: true, force: true });
  if (proposal.manner === 'delta') await moveAside(target, namesMadeBefore(place));
  else await removeLeft(place);
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
    // A repetition goes on with the directory in which the first one began to put things.
    ...(manner === 'delta' ? { aside: place.marker?.aside ?? aside } : {}),
  };
}

/** What an earlier attempt made at the top; nothing as long as a delta had not moved all the rest out of the way. */
function namesMadeBefore({ marker }: TargetPlace): readonly string[] {
  if (marker === null || (marker.manner === 'delta' && marker.aside?.isComplete !== true)) return [];
  return marker.topLevel;
}

/** What a broken-off restore of ours left. Links of tablespaces are removed as links; what they lead to is emptied where it is marked as ours. */
async function removeLeft({ path, marker }: TargetPlace): Promise<void> {
  for (const name of marker?.topLevel ?? []) {
    await rm(join(path, name), { recursive: true, force: true });
  }
  if (marker !== null) await emptyLeftTablespaces(path, marker);
}
