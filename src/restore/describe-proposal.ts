import { formatBytes, formatDuration, formatMoment, formatQuantity } from '../lib/index.ts';
import { formatLsn, formatTimestamp } from '../postgres/index.ts';
import type { CommitFacts, RestoreProposal } from './proposal.ts';
import { formatRecoveryTarget } from './recovery-target.ts';
import { shortId } from './snapshot-facts.ts';

/** A proposal as lines for people: each a label and what it says. The order is that in which one wants to know. */
export function describeProposal(proposal: RestoreProposal): { label: string; text: string }[] {
  const { snapshot, target, wal, size, lost } = proposal;
  const segments = wal.files.filter(({ kind }) => kind === 'segment').length;
  return [
    { label: 'Restore', text: `cluster "${snapshot.cluster}" into "${proposal.into}"` },
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
    {
      label: 'Size',
      text: `${formatBytes(size.dataBytes)} of files, ${formatBytes(wal.bytes)} of WAL; needs ${formatBytes(size.neededBytes)}, free ${formatBytes(size.freeBytes)}`,
    },
    { label: 'Takes', text: `about ${formatDuration(proposal.estimateSeconds * 1000)}` },
    { label: 'Loses', text: describeLoss(lost) },
    ...[...target.notes, ...proposal.warnings].map((text) => ({ label: 'Note', text })),
  ];
}

function describeStop({ target }: RestoreProposal): string {
  return `${target.inclusive ? 'after' : 'before'} the record at ${formatLsn(target.recordLsn)} on timeline ${target.timeline}`;
}

function describeLoss({ bytes, durableEnd, lastCommit }: RestoreProposal['lost']): string {
  if (bytes === 0n) return 'nothing that can be reached';
  const what = lastCommit === null ? 'no commit' : describeCommit('commits up to', lastCommit, '');
  return `${formatBytes(bytes)} of WAL up to ${formatLsn(durableEnd)}: ${what}`;
}

function describeCommit(what: string, commit: CommitFacts | null, none: string): string {
  return commit === null ? none : `${what} ${formatTimestamp(commit.at)} (transaction ${commit.xid})`;
}
