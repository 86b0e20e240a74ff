import { HoldfastError, messageOf } from '../../../lib/index.ts';
import { formatLsn } from '../../../postgres/index.ts';
import type { ForkReason, LineageParent } from '../lineage.ts';
import type { LsnRange } from '../lsn-ranges.ts';

// The sentences of the receiver's errors and alarms: what is so, what it costs, what to do.

const FORK_SENTENCES: Record<ForkReason, string> = {
  'bytes-differ': 'The server sent other bytes than those that it, or another server of this name, had sent before.',
  'timeline-forked-earlier': "The server's timeline left the stored history before the end of what is stored.",
  'older-timeline': 'The server writes on a timeline that the stored history had left already.',
  'server-went-back': 'The server no longer has WAL that it had sent before.',
};

export function forkAlarm(cluster: string, parent: LineageParent): HoldfastError {
  const where = parent.forkLsn === 0n ? 'at a position that could not be proved' : `at ${formatLsn(parent.forkLsn)}`;
  return new HoldfastError('WAL_FORKED', `the WAL of cluster "${cluster}" forked ${where}`, {
    detail:
      `${FORK_SENTENCES[parent.reason]} Its WAL is stored apart from here on; what lay beyond the fork stays restorable. ` +
      'Until a new base backup is complete, the new history cannot be restored on its own.',
    hints: [
      'Check that this server is the one that is meant: an old primary, or a copy from a snapshot of its volume, would look like this.',
      'Take a new base backup now.',
    ],
  });
}

/** `cost` is a sentence on what the gap costs, where that could be found out. */
export function gapAlarm(cluster: string, gap: LsnRange, cost: string | null): HoldfastError {
  return new HoldfastError(
    'WAL_GAP',
    `WAL of cluster "${cluster}" is missing from ${formatLsn(gap.start)} to ${formatLsn(gap.end)}`,
    {
      detail:
        'Neither the repository nor the server has it. No restore can cross it: a base backup from before it reaches its start, ' +
        `and what comes after needs a base backup that is begun after it.${cost === null ? '' : ` ${cost}`}`,
      hints: ['Take a new base backup now.', 'Raise max_slot_wal_keep_size, or keep the receiver running.'],
    },
  );
}

export function slotLostAlarm(slot: string, cause: unknown): HoldfastError {
  return new HoldfastError('WAL_SLOT_LOST', `the slot "${slot}" kept no WAL and was made anew`, {
    detail:
      'The server invalidates a slot that would keep more than max_slot_wal_keep_size, or that was idle for too long.',
    hints: [
      'Raise max_slot_wal_keep_size to what a night without the receiver writes, or set it to -1 and watch the disk.',
    ],
    ...(cause === undefined ? {} : { cause }),
  });
}

export function slotActive(slot: string, cause: unknown): HoldfastError {
  return new HoldfastError('WAL_SLOT_ACTIVE', `cannot stream WAL over the slot "${slot}": another receiver uses it`, {
    detail: `Found: ${messageOf(cause)}.`,
    hints: [
      'Let one receiver run for each cluster; `SELECT active_pid FROM pg_replication_slots` tells which connection has it.',
      'If the other one was cut off a moment ago, the server lets go of it after wal_sender_timeout.',
    ],
    cause,
  });
}

export function synchronousByWildcard(applicationName: string): HoldfastError {
  return new HoldfastError(
    'WAL_SYNCHRONOUS_BY_WILDCARD',
    `commits wait for "${applicationName}" although it was not named`,
    {
      detail:
        'synchronous_standby_names has "*", which takes any standby. WAL is stored at once for as long as that is so.',
      hints: [
        `Name "${applicationName}" in synchronous_standby_names if commits are to wait for the repository; else name the standbys.`,
      ],
    },
  );
}

export function otherSystem(cluster: string, expected: string, found: string): HoldfastError {
  return new HoldfastError('WAL_OTHER_SYSTEM', `another system answers as cluster "${cluster}"`, {
    detail: `The repository holds WAL of system ${expected} under this name, and the server is system ${found}. Its WAL is stored apart.`,
    hints: ['Check the connection string. If the cluster was made anew, take a base backup now.'],
  });
}

export function serverBehind(timeline: number, until: bigint): HoldfastError {
  return new HoldfastError(
    'WAL_SERVER_BEHIND',
    'could not go on with the WAL: the server is a standby that has not come so far',
    {
      detail: `It is on timeline ${timeline} and has not reached ${formatLsn(until)}, where the stored history left that timeline.`,
      hints: ['Wait until it has caught up, or stream from the primary.'],
      retryable: true,
    },
  );
}

export function serverShutDown(): HoldfastError {
  return new HoldfastError('WAL_SERVER_SHUT_DOWN', 'the server was shut down', {
    detail: 'It had sent all its WAL and said goodbye.',
    retryable: true,
  });
}

export function serverSilent(waitedMs: number): HoldfastError {
  return new HoldfastError('PG_SERVER_SILENT', 'could not get an answer from the server', {
    detail: `Nothing came for ${waitedMs / 1000} seconds after a command.`,
    retryable: true,
  });
}
