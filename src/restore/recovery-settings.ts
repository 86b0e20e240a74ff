import { formatLsn } from '../postgres/index.ts';
import { restoreCommand } from './spool/index.ts';
import type { PlacedTablespace } from './tablespaces.ts';
import type { WalSurvey } from './wal-survey.ts';

/** A setting of the server with its value, unquoted. */
export type Settings = Readonly<Record<string, string>>;

/** Where recovery stops, as the server is told. */
export interface RecoveryStop {
  readonly recordLsn: bigint;
  readonly inclusive: boolean;
  readonly timeline: number;
}

export const BLOCK_BEGIN = '# --- Written by Holdfast for this restore: begin ---';
export const BLOCK_END = '# --- Written by Holdfast for this restore: end ---';

/** From this version on a file can no longer trigger a promotion, and the setting is gone. */
const PROMOTE_TRIGGER_MAJOR_MAX = 15;

/**
 * The settings by which a server replays exactly the proposed WAL and then opens.
 *
 * The timeline is always a number (rule A3), the target always a position. Other targets are emptied first, should the restored
 * configuration still name one: two of them are an error, and the one that is set last must find none before it.
 */
export function recoverySettings(stop: RecoveryStop): Settings {
  return {
    recovery_target: '',
    recovery_target_name: '',
    recovery_target_time: '',
    recovery_target_xid: '',
    recovery_target_lsn: formatLsn(stop.recordLsn),
    recovery_target_inclusive: stop.inclusive ? 'on' : 'off',
    recovery_target_timeline: String(stop.timeline),
    recovery_target_action: 'promote',
    restore_command: restoreCommand(),
  };
}

/**
 * The settings by which a restored server has nothing to do with the old world: it does not archive into it, stream from it, wait for
 * standbys of it, run its clean-up commands or go on with its subscriptions, whose slots on other servers would be moved, and shows nobody a
 * state that is not yet recovered.
 */
export function separationSettings(major: number): Settings {
  return {
    archive_mode: 'off',
    max_logical_replication_workers: '0',
    primary_conninfo: '',
    primary_slot_name: '',
    synchronous_standby_names: '',
    archive_cleanup_command: '',
    recovery_end_command: '',
    recovery_min_apply_delay: '0',
    ...(major <= PROMOTE_TRIGGER_MAJOR_MAX ? { promote_trigger_file: '' } : {}),
    hot_standby: 'off',
  };
}

/** Room for prepared transactions, when the WAL says that there was made more of it since the backup. */
export function preparedSettings(
  { settings }: WalSurvey,
  control: { readonly maxPreparedTransactions: number },
): Settings {
  const prepared = settings?.maxPreparedTransactions ?? 0;
  return prepared > control.maxPreparedTransactions ? { max_prepared_transactions: String(prepared) } : {};
}

/**
 * Leave for tablespaces that lie in the data directory itself, when there are any: without it recovery takes their directories for left-overs
 * of its own and ends. Source: PostgreSQL, xlogrecovery.c, CheckTablespaceDirectory.
 */
export function inPlaceSettings(survey: WalSurvey, tablespaces: readonly PlacedTablespace[]): Settings {
  const isInPlace = [...tablespaces, ...survey.tablespaces].some(({ path }) => path === null);
  return isInPlace ? { allow_in_place_tablespaces: 'on' } : {};
}

/** Settings as lines of a configuration file. */
export function formatSettings(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'\n`)
    .join('');
}

/** The block that is appended to `postgresql.auto.conf`, which a server reads last, so that it wins over what was restored. */
export function formatBlock(settings: Settings): string {
  return [
    BLOCK_BEGIN,
    '# Remove the lines down to the end mark once this server is in use: until then it neither archives, nor waits for standbys, nor subscribes.',
    formatSettings(settings).trimEnd(),
    BLOCK_END,
    '',
  ].join('\n');
}
