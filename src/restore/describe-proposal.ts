import { formatBytes, formatDuration, formatMoment, formatQuantity, unreachable } from '../lib/index.ts';
import { formatLsn, formatTimestamp } from '../postgres/index.ts';
import type { CommitFacts, RestoreProposal } from './proposal.ts';
import { formatRecoveryTarget } from './recovery-target.ts';
import { shortId } from './snapshot-facts.ts';
import type { PlacedTablespace } from './tablespaces.ts';

/** A proposal as lines for people: each a label and what it says. The order is that in which one wants to know. */
export function describeProposal(proposal: RestoreProposal): { label: string; text: string }[] {
  const { snapshot, target, wal, lost } = proposal;
  const segments = wal.files.filter(({ kind }) => kind === 'segment').length;
  return [
    { label: 'Restore', text: `cluster "${snapshot.cluster}" ${describeManner(proposal)}` },
    { label: 'Target', text: `${formatRecoveryTarget(target.asked)}${target.exclusive ? ', exclusive' : ''}` },
    { label: 'Stops', text: describeStop(proposal) },
    {
      label: 'Reaches',
      text: `${formatLsn(target.reachedLsn)}, ${describeCommit('last commit', target.lastCommit, 'no commit since the snapshot')}`,
    },
    {
      label: 'Snapshot',
      text: `${shortId(snapshot.id)} of ${formatMoment(snapshot.completedAt)}, the newest that was complete before the target`,
    },
    ...proposal.passedOver.map(({ snapshot: other, reason }) => ({
      label: 'Not',
      text: `${shortId(other.id)}: ${reason}`,
    })),
    {
      label: 'WAL',
      text: `${formatQuantity(segments, 'segment')} from ${formatLsn(wal.from)} to ${formatLsn(wal.to)} on timeline ${target.timeline}`,
    },
    ...proposal.tablespaces.map((space) => ({ label: 'Space', text: describeTablespace(space) })),
    ...describeReuse(proposal).map((text) => ({ label: 'Reuses', text })),
    ...describeSizes(proposal).map((text) => ({ label: 'Size', text })),
    { label: 'Takes', text: `about ${formatDuration(proposal.estimateSeconds * 1000)}` },
    { label: 'Loses', text: describeLoss(lost, proposal.leftOut) },
    ...proposal.leftOut.map((text) => ({ label: 'Leaves', text })),
    ...[...target.notes, ...proposal.warnings.filter((text) => !proposal.leftOut.includes(text))].map((text) => ({
      label: 'Note',
      text,
    })),
  ];
}

function describeManner({ manner, into, cloneFrom }: RestoreProposal): string {
  switch (manner) {
    case 'new':
      return `into "${into}"`;
    case 'delta':
      return `over the data directory "${into}"; what is not data, the WAL above all, is moved aside in it`;
    case 'clone':
      return `into "${into}", beginning with clones of the files in "${cloneFrom}"`;
    default:
      return unreachable(manner);
  }
}

function describeTablespace({ oid, name, from, path }: PlacedTablespace): string {
  const what = `tablespace ${oid}${name === null ? '' : ` "${name}"`}`;
  return path === null ? `${what} stays in the data directory` : `${what} of "${from}" goes to "${path}"`;
}

function describeReuse({ reuse, size }: RestoreProposal): string[] {
  if (reuse === null) return [];
  const share = reuse.sampledBytes >= size.dataBytes ? '' : `, judging by ${formatBytes(reuse.sampledBytes)} of it`;
  const rest = formatBytes(Math.max(0, size.dataBytes - reuse.reusedBytes));
  return [`about ${formatBytes(reuse.reusedBytes)} of "${reuse.from}"${share}; fetches about ${rest}`];
}

function describeSizes({ size, wal }: RestoreProposal): string[] {
  const files = `${formatBytes(size.dataBytes)} of files, ${formatBytes(wal.bytes)} of WAL`;
  const [only, second] = size.fileSystems;
  if (only !== undefined && second === undefined) {
    return [`${files}; needs ${formatBytes(only.neededBytes)}, free ${formatBytes(only.freeBytes)}`];
  }
  const each = size.fileSystems.map(
    ({ paths, neededBytes, freeBytes }) =>
      `needs ${formatBytes(neededBytes)}, free ${formatBytes(freeBytes)}, on the file system of ${paths.map((path) => `"${path}"`).join(', ')}`,
  );
  return [files, ...each];
}

function describeStop({ target }: RestoreProposal): string {
  return `${target.inclusive ? 'after' : 'before'} the record at ${formatLsn(target.recordLsn)} on timeline ${target.timeline}`;
}

/** What lies behind a hole, or in another history, is no part of the numbers; "nothing" must not stand alone then. */
function describeLoss(
  { bytes, durableEnd, firstCommit, lastCommit }: RestoreProposal['lost'],
  leftOut: readonly string[],
): string {
  const more = leftOut.length === 0 ? '' : '; besides, not all that is stored is brought back:';
  if (bytes === 0n) return `nothing that can be reached${more}`;
  const first = firstCommit === null ? '' : ` ${formatTimestamp(firstCommit.at)} (transaction ${firstCommit.xid})`;
  const what = lastCommit === null ? 'no commit' : describeCommit(`commits from${first} to`, lastCommit, '');
  return `${formatBytes(bytes)} of WAL up to ${formatLsn(durableEnd)}: ${what}${more}`;
}

function describeCommit(what: string, commit: CommitFacts | null, none: string): string {
  return commit === null ? none : `${what} ${formatTimestamp(commit.at)} (transaction ${commit.xid})`;
}
