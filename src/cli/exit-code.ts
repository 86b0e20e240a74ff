import { codeOf } from '../lib/index.ts';

/** What each code means; `--help` prints this. `wal fetch` does not use them: its codes are PostgreSQL's. */
export const exitCodes = {
  done: { code: 0, meaning: 'done' },
  failed: { code: 1, meaning: 'failed' },
  usage: { code: 2, meaning: 'wrong usage, a problem in the plan, or a target that cannot be reached' },
  problemFound: { code: 3, meaning: 'a check found a problem' },
  refused: { code: 4, meaning: 'refused for safety' },
  interrupted: { code: 130, meaning: 'interrupted' },
} as const;

/** What PostgreSQL makes of the end of its `restore_command` (rule A3). */
export const postgresqlExitCodes = {
  placed: { code: 0, meaning: 'the file was placed' },
  absent: { code: 1, meaning: 'the repository has no such file; PostgreSQL takes this for the end of the WAL' },
  failed: { code: 126, meaning: 'anything else; PostgreSQL stops instead of opening too early' },
} as const;

/** What PostgreSQL makes of the end of its `archive_command`: above 125 the archiver itself would end. */
export const archiveExitCodes = {
  kept: { code: 0, meaning: 'the file is durable in the repository, or is one that nobody will ever need' },
  failed: { code: 1, meaning: 'anything else; PostgreSQL keeps the file and tries again' },
} as const;

/** Whose codes a command ends with. */
export type ExitCodeKind = 'holdfast' | 'postgresql' | 'postgresql-archive';

export type ExitReason = keyof typeof exitCodes;

/** How a command ended. `code` is set only by commands whose codes are PostgreSQL's. */
export interface CommandEnd {
  readonly reason: ExitReason;
  readonly code?: number;
}

/** The code of the process. For PostgreSQL every end without a code of its own is a failure that stops recovery. */
export function exitCodeFor(kind: ExitCodeKind, end: CommandEnd): number {
  // Success that is none would let the server throw away its only copy.
  if (kind === 'postgresql-archive')
    return (end.reason === 'done' ? archiveExitCodes.kept : archiveExitCodes.failed).code;
  if (kind === 'holdfast' || end.reason === 'interrupted') return exitCodes[end.reason].code;
  return end.code ?? postgresqlExitCodes.failed.code;
}

/** Why a command that threw ends as it does: the one place where codes of errors become exit codes. */
export function exitReasonOf(error: unknown): ExitReason {
  switch (codeOf(error)) {
    case 'BYTES_INVALID':
    case 'CLUSTER_AMBIGUOUS':
    case 'CONFIGURATION_SERVER_UNNAMED':
    case 'DURATION_INVALID':
    case 'HOLD_ABSENT':
    case 'HOLD_AMBIGUOUS':
    case 'HOLD_UNTIL_INVALID':
    case 'KEY_AGE_RECIPIENT_INVALID':
    case 'KEY_PASSPHRASE_EMPTY':
    case 'KEY_SLOT_AMBIGUOUS':
    case 'KIT_FILE_UNREADABLE':
    case 'KIT_UNRECOGNIZED':
    case 'PG_CONNECTION_STRING_INVALID':
    case 'PG_CONNECTION_STRING_UNSUPPORTED':
    case 'PG_LSN_INVALID':
    case 'PG_SERVICE_FILE_INVALID':
    case 'PG_SERVICE_NOT_FOUND':
    case 'PG_SLOT_NAME_INVALID':
    case 'PLAN_AMBIGUOUS':
    case 'PLAN_FORMAT_UNSUPPORTED':
    case 'PLAN_INVALID':
    case 'PLAN_NOT_FOUND':
    case 'PLAN_REVISION_UNREADABLE':
    case 'PLAN_UNREADABLE':
    case 'RECOVERY_TARGET_INVALID':
    case 'RECOVERY_TARGET_UNZONED':
    case 'RECOVERY_TIMELINE_INVALID':
    case 'RESTORE_CLUSTER_AMBIGUOUS':
    case 'RESTORE_LINEAGE_ABSENT':
    case 'RESTORE_LINEAGE_AMBIGUOUS':
    case 'RESTORE_NO_SNAPSHOT':
    case 'RESTORE_TABLESPACE_INVALID':
    case 'RESTORE_TARGET_AMBIGUOUS':
    case 'RESTORE_TARGET_NOT_FOUND':
    case 'RESTORE_TARGET_UNREACHABLE':
    case 'RESTORE_TIMELINE_ABSENT':
    case 'RESTORE_WAL_ABSENT':
    case 'SNAPSHOT_ABSENT':
    case 'SNAPSHOT_AMBIGUOUS':
    case 'STORE_LOCATION_INVALID':
    case 'USAGE_INVALID':
    case 'WAL_TIME_UNREACHABLE':
      return 'usage';
    case 'KEY_FILE_EXISTS':
    case 'KEYS_NOT_CONFIRMED':
    case 'HOLD_NOT_CONFIRMED':
    case 'KEY_SIGNER_CHANGED':
    case 'KEY_SLOT_FORGED':
    case 'KEY_SLOT_IN_USE':
    case 'KEY_SLOT_OUTDATED':
    case 'KEY_SLOT_REMOVED':
    case 'KEY_SLOT_UNPROVEN':
    case 'KIT_FILE_EXISTS':
    case 'LEDGER_CHAIN_BROKEN':
    case 'LEDGER_HEAD_REGRESSED':
    case 'PRUNE_PROPOSAL_STALE':
    case 'PRUNE_ROOT_UNREADABLE':
    case 'PRUNE_RUNNING':
    case 'REPOSITORY_OTHER':
    case 'REPOSITORY_COPY_FOREIGN':
    case 'REPOSITORY_COPY_SAME':
    case 'REPOSITORY_EXISTS':
    case 'REPOSITORY_PLACE_NOT_EMPTY':
    case 'RESTORE_PROPOSAL_OUTDATED':
    case 'RESTORE_TARGET_FOREIGN':
    case 'RESTORE_TARGET_NOT_EMPTY':
    case 'RESTORE_TARGET_BUSY':
    case 'RESTORE_TARGET_RUNNING':
    case 'WAL_RESCUE_RUNNING':
    case 'SETUP_ARCHIVE_TAKEN':
    case 'SETUP_NOT_CONFIRMED':
    case 'SETUP_PROPOSAL_OUTDATED':
    case 'SETUP_SLOT_ENDANGERED':
    case 'STORE_KEEPS_DELETED':
    case 'STORE_LISTS_LATE':
    case 'STORE_LISTS_UNORDERED':
    case 'STORE_LOCK_ABSENT':
    case 'STORE_OVERWRITES':
    case 'STORE_READS_WRONG':
    case 'WAL_WAITS_UNREAD':
      return 'refused';
    case 'INTERRUPTED':
      return 'interrupted';
    default:
      return 'failed';
  }
}
