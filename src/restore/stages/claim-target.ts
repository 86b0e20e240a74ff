import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatLsn } from '../../postgres/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import { type RestoreMarker, writeMarker } from '../restore-marker.ts';
import { type Owner, SPOOL_DIRECTORY, syncDirectory } from '../spool/index.ts';
import type { TargetPlace } from './inspect-target.ts';
import { MADE_NAMES } from './write-recovery.ts';

/** A directory that is ours for this restore: marked, and otherwise empty. */
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

  async mark(state: RestoreMarker['state'], reason?: string): Promise<void> {
    this.#marker = { ...this.#marker, state, ...(reason === undefined ? {} : { reason }) };
    await writeMarker(this.path, this.#marker, this.owner);
  }
}

/**
 * Makes the directory ours: the marker is durable before the first file is written, so that a restore broken off at any point is known for
 * what it is. What an earlier restore of ours left there is removed first.
 */
export async function claimTarget(options: {
  place: TargetPlace;
  proposal: RestoreProposal;
  topLevel: readonly string[];
  owner: Owner | undefined;
  startedAt: number;
}): Promise<ClaimedTarget> {
  const { place, proposal, owner } = options;
  const { target } = proposal;
  if (place.state === 'missing') {
    // Fails when somebody else has made it since it was looked at: then it is not ours to fill.
    await mkdir(place.path, { mode: 0o700 });
    await syncDirectory(dirname(place.path));
  }
  await chmod(place.path, 0o700);
  if (owner !== undefined) await chown(place.path, owner.uid, owner.gid);
  const marker: RestoreMarker = {
    version: 1,
    state: 'restoring',
    repository: proposal.madeFrom.repository,
    snapshot: proposal.snapshot.id,
    startedAt: new Date(options.startedAt).toISOString(),
    topLevel: [...new Set([...options.topLevel, ...MADE_NAMES, ...(place.marker?.topLevel ?? [])])].sort(),
    target: {
      reachedLsn: formatLsn(target.reachedLsn),
      recordLsn: formatLsn(target.recordLsn),
      inclusive: target.inclusive,
      timeline: target.timeline,
    },
  };
  await writeMarker(place.path, marker, owner);
  for (const name of [...(place.marker?.topLevel ?? []), SPOOL_DIRECTORY]) {
    await rm(join(place.path, name), { recursive: true, force: true });
  }
  return new ClaimedTarget(place.path, owner, marker);
}
