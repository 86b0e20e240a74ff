import { formatBytes, formatDuration, formatMoment } from '../lib/index.ts';
import { formatLsn } from '../postgres/index.ts';
import { describeGrowth } from '../protect/wal/index.ts';
import { whyLockTooShort } from '../repository/index.ts';
import type { ClusterFacts, Finding, ServerFacts, WalFacts } from './status.ts';

/** A receiver stores what there is each second; a minute without is no delay any more. */
const receiverSilenceMsMax = 60_000;

/** What is to be said of a cluster, problems first. Pure: the facts hold the time too. */
export function judgeCluster(facts: ClusterFacts): Finding[] {
  const findings = [
    ...judgeDates(facts),
    ...judgeLocks(facts),
    ...judgeSnapshots(facts),
    ...judgeWal(facts),
    ...judgeServer(facts),
  ];
  return findings.sort((a, b) => rank(a) - rank(b));
}

function rank({ severity }: Finding): number {
  return severity === 'problem' ? 0 : 1;
}

/** Rule B2: the store's time counts, and a thief with the key may date snapshots as he likes. */
function judgeDates({ misdated }: ClusterFacts): Finding[] {
  if (misdated.length === 0) return [];
  const named = misdated.slice(0, 3).map((id) => id.slice(0, 12));
  const rest = misdated.length - named.length;
  const sentence = `${misdated.length === 1 ? 'A snapshot is' : 'Snapshots are'} dated later than the store took ${misdated.length === 1 ? 'it' : 'them'}: ${named.join(', ')}${rest === 0 ? '' : ` and ${rest} more`}.`;
  const advice =
    'Look at the clock of the host that took the backup; if it is right, somebody else has the key and the credentials.';
  return [problem('snapshot-misdated', sentence, advice)];
}

/** Rule C6: what nobody extends in time is open to whoever can delete. */
function judgeLocks({ newest, now, backupIntervalMs }: ClusterFacts): Finding[] {
  if (newest === null || newest.locks.length === 0) return [];
  const until = Math.max(...newest.locks.map((lock) => lock.until));
  if (until <= now) {
    const sentence = `The locks of the newest snapshot ran out at ${formatMoment(until)}: whoever can delete can take it away.`;
    return [problem('lock-ran-out', sentence, 'Run holdfast backup, which extends them.')];
  }
  const tooShort = backupIntervalMs === null ? null : whyLockTooShort(until - newest.completedAt, backupIntervalMs);
  if (tooShort === null) return [];
  return [notice('lock-too-short', tooShort, 'Lock for longer (lock in the plan), or back up more often.')];
}

function judgeSnapshots({ cluster, newest, wal }: ClusterFacts): Finding[] {
  if (newest === null) {
    const sentence = `There is no snapshot of "${cluster}": nothing can be restored.`;
    return [problem('no-snapshot', sentence, 'Run holdfast backup.')];
  }
  const findings: Finding[] = [];
  if (newest.restorableTo < newest.walEnd) {
    const sentence = `The newest snapshot needs WAL up to ${formatLsn(newest.walEnd)}, and what is stored ends at ${formatLsn(newest.restorableTo)}.`;
    findings.push(problem('snapshot-without-wal', sentence, 'Run holdfast backup.'));
  }
  if (newest.onlyIn !== null) {
    const copies = newest.onlyIn.copies.map((name) => `"${name}"`).join(', ');
    const begin = 'The newest snapshot was taken while the primary was away, and';
    const sentence = newest.onlyIn.isPrimaryAsked
      ? `${begin} copies alone have it: ${copies}.`
      : `${begin} whether that has it by now is not known, as it does not answer; copies have it: ${copies}.`;
    const advice = 'When the primary answers, holdfast backup, wal stream or copies sync bring it there.';
    findings.push(notice('snapshot-away', sentence, advice));
  }
  if (newest.isDoubtful) {
    const sentence = 'The newest snapshot is in doubt: a cross-check found that it may not hold what the server had.';
    findings.push(problem('snapshot-doubtful', sentence, 'Run holdfast backup --type full.'));
  }
  const [failure, ...further] = newest.checksumFailures;
  if (failure !== undefined) {
    const more = further.length === 0 ? '' : ` It said more of the kind (${further.length}).`;
    const sentence = `The newest snapshot holds pages that are damaged on the server: ${failure}.${more}`;
    const advice = 'Look for a failing disk; restore the relation from an older snapshot before you repair anything.';
    findings.push(problem('damaged-pages', sentence, advice));
  }
  if (wal !== null && wal.lineage !== newest.lineage) {
    const sentence =
      'The WAL that arrives now belongs to another lineage than the newest snapshot and cannot be replayed on it.';
    findings.push(problem('lineage-without-snapshot', sentence, 'Run holdfast backup.'));
  }
  return findings;
}

function judgeWal({ newest, wal, now }: ClusterFacts): Finding[] {
  if (wal === null) {
    return [notice('no-wal', 'No WAL is kept: what is written after a snapshot would be lost.', streamAdvice)];
  }
  const findings: Finding[] = [];
  for (const gap of wal.gaps) {
    const range = `WAL from ${formatLsn(gap.start)} to ${formatLsn(gap.end)} is missing. ${gap.cost}`;
    // A gap before the newest snapshot closes a stretch of the past; one after it cuts off the present.
    const isBehind = newest !== null && newest.lineage === wal.lineage && gap.end <= newest.walStart;
    if (isBehind) findings.push(notice('old-gap', range, null));
    else findings.push(problem('gap', range, 'Run holdfast backup.'));
  }
  return [...findings, ...judgeArrival(wal, now)];
}

/** How WAL arrives, and how much of it waits on the server. */
function judgeArrival({ receiver, push }: WalFacts, now: number): Finding[] {
  if (receiver?.running !== true) {
    if (push !== null) {
      const sentence = `WAL arrives file by file: the last was ${push.file}, ${formatDuration(now - push.saidAt)} ago. What is written since is kept by the server alone.`;
      return [
        notice('push-only', sentence, `${streamAdvice} Without it, archive_timeout bounds what a disaster costs.`),
      ];
    }
    const last = receiver === null ? '' : ` The last one was heard of ${formatDuration(now - receiver.saidAt)} ago.`;
    const sentence = `No receiver of WAL is running: what is written now is kept by the server alone.${last}`;
    return [notice('no-receiver', sentence, streamAdvice)];
  }
  const findings: Finding[] = [];
  if (receiver.knownUntil !== null && now - receiver.knownUntil > receiverSilenceMsMax) {
    const sentence = `The receiver runs but has not caught up with the server for ${formatDuration(now - receiver.knownUntil)}.`;
    findings.push(problem('receiver-behind', sentence, 'Look at what holdfast wal stream says, and at the store.'));
  }
  const { space } = receiver;
  if (space?.isOverBudget === true) {
    const kept = formatBytes(space.slotBytes ?? space.walBytes ?? 0n);
    const sentence = `The server keeps ${kept} of WAL or more, above the budget of ${formatBytes(space.budgetBytes)}. ${describeGrowth(space)}`;
    findings.push(problem('wal-budget', sentence, 'Look at what holds WAL back, or raise wal.budget.'));
  }
  if (space?.slotStatus === 'unreserved' || space?.slotStatus === 'lost') {
    const sentence = `The slot holds back more than max_slot_wal_keep_size allows (${space.slotStatus}): WAL that is not stored may be gone at the next checkpoint.`;
    findings.push(
      problem(
        'slot-endangered',
        sentence,
        'Raise max_slot_wal_keep_size and reload, and mend what holds the receiver back.',
      ),
    );
  }
  return findings;
}

function judgeServer({ server, wal, now }: ClusterFacts): Finding[] {
  switch (server.kind) {
    case 'not-asked':
      return [];
    case 'unreachable':
      return judgeUnreachable(server);
    case 'answered': {
      if (wal === null) return [];
      if (server.system !== wal.system) {
        const sentence = `The server is another cluster (system ${server.system}) than the one that is kept (system ${wal.system}).`;
        return [problem('other-system', sentence, 'Check the connection, or give this cluster a name of its own.')];
      }
      if (server.timeline < wal.timeline || server.flushLsn < wal.durableLsn) {
        const sentence = `The server is behind what is kept: it is at ${formatLsn(server.flushLsn)} on timeline ${server.timeline}.`;
        return [problem('server-behind', sentence, 'If it was restored to an earlier moment, run holdfast backup.')];
      }
      const lag = server.flushLsn - wal.durableLsn;
      if (lag === 0n || wal.receiver?.running === true) return [];
      // An archiver has whole segments only: the one that is being written, and one that is on its way, are no delay.
      if (wal.push !== null && lag < 2n * BigInt(wal.segmentBytes)) return [];
      if (wal.push !== null) {
        const sentence = `The server has ${formatBytes(lag)} of WAL that was not pushed.`;
        return [problem('behind-server', sentence, 'Look at pg_stat_archiver on the server, and at its log.')];
      }
      return [judgeUnstreamed(lag, wal.streamedAt, now)];
    }
  }
}

/**
 * Judges WAL that only the server has while no receiver runs. Never by how much it is: a server writes records of its own accord, and one commit that
 * is lost is one too many. Where a receiver was to run on, the plan promises at most its flush interval, which is no longer than a minute; where there
 * never was one, nothing after a backup is promised, and that is told.
 */
function judgeUnstreamed(lag: bigint, streamedAt: number | null, now: number): Finding {
  const sentence = `The server has ${formatBytes(lag)} of WAL that the repository does not have`;
  if (streamedAt === null || now - streamedAt <= receiverSilenceMsMax) {
    return notice('behind-server', `${sentence}.`, streamAdvice);
  }
  const silence = formatDuration(now - streamedAt);
  return problem('behind-server', `${sentence}, and its receiver was last heard of ${silence} ago.`, streamAdvice);
}

/** A server that is away takes nothing from what is kept, so it is told and not held against the backups. */
export function judgeUnreachable({ sentence }: Extract<ServerFacts, { kind: 'unreachable' }>): Finding[] {
  const advice =
    'If it is lost: holdfast wal rescue brings in what its data directory still has, then holdfast restore brings it back elsewhere.';
  return [notice('server-unreachable', `The server did not answer: ${sentence}`, advice)];
}

const streamAdvice = 'Run holdfast wal stream as a service.';

function problem(code: string, sentence: string, advice: string | null): Finding {
  return { severity: 'problem', code, sentence, advice };
}

function notice(code: string, sentence: string, advice: string | null): Finding {
  return { severity: 'notice', code, sentence, advice };
}
