import { HoldfastError } from '../../../lib/index.ts';
import { formatHistoryName, formatLsn, type WalStop } from '../../../postgres/index.ts';
import type { LsnRange } from '../lsn-ranges.ts';
import { outageUnsafe } from '../receiver/index.ts';

// What is wrong with files, in words: what is so, what it costs, what to do.

export function unsoundFile(name: string, stop: WalStop | null): HoldfastError {
  const where = stop === null ? 'It does not pass the check.' : `At ${formatLsn(stop.lsn)}: ${stop.detail}`;
  return new HoldfastError('WAL_FILE_UNSOUND', `cannot keep "${name}": it is not sound WAL`, {
    detail: `${where} Nothing of it was stored.`,
    hints: [
      'Check the disks and the memory of the server.',
      'Run `holdfast wal stream`, or take a base backup, to be protected while the archiver is stuck at this file.',
    ],
  });
}

/** It differs from what is stored under its name, and no checksum tells which of them is right. */
export function alteredFile(name: string, lsn: bigint): HoldfastError {
  return new HoldfastError('WAL_FILE_UNSOUND', `cannot keep "${name}": another content is stored under its name`, {
    detail: `They differ from ${formatLsn(lsn)} on, behind the last whole record: no checksum tells which of them is right. What is stored stays as it is.`,
    hints: [
      'Check the disks and the memory of the server, and who else writes into pg_wal.',
      'If another server is archived under this cluster name, give each a name of its own with --cluster, and take a base backup.',
    ],
  });
}

export function historyWanted(timeline: number): HoldfastError {
  const name = formatHistoryName(timeline);
  return new HoldfastError('WAL_HISTORY_ABSENT', `cannot keep WAL of timeline ${timeline}: its history is not stored`, {
    detail: `Expected "${name}" in the repository or beside the file, found it in neither.`,
    hints: [`Find "${name}", on the server or on one of its standbys, and push it first.`],
  });
}

/** WAL came as a file, and the file before it has not come. */
export function holeAlarm(cluster: string, gap: LsnRange): HoldfastError {
  return new HoldfastError(
    'WAL_GAP',
    `WAL of cluster "${cluster}" is missing from ${formatLsn(gap.start)} to ${formatLsn(gap.end)}`,
    {
      detail:
        'Files from behind it were kept. As long as it is missing, no restore can cross it: a base backup from before it reaches its start, ' +
        'and what comes after needs a base backup that is begun after it.',
      hints: [
        'Push the files that are missing, if the server or another archive still has them.',
        'If nobody has them, take a new base backup now.',
      ],
    },
  );
}

export function unprovedInOutage(lineage: string, isContradicted: boolean): HoldfastError {
  return outageUnsafe(
    isContradicted
      ? 'Expected a file that goes on from what copies and this machine have, found another history: a lineage is begun in the primary alone.'
      : `Expected WAL of lineage "${lineage}" in a copy or on this machine that ends where the file begins, found none: the primary may have it.`,
  );
}

export function historyInOutage(timeline: number): HoldfastError {
  return outageUnsafe(
    `Expected the history of timeline ${timeline} in a copy, found none: whether another server goes on with the timeline that was left, the primary alone knows.`,
  );
}
