import { HoldfastError } from '../../../lib/index.ts';
import { type PostgresConnection, PostgresError, showSetting } from '../../../postgres/index.ts';

/** object_not_in_prerequisite_state: what the server says of both troubles that only a standby has. */
const PREREQUISITE_STATE = '55000';

/**
 * Says what ended the backup of a standby, where the server's own words say what is wrong and not what to do. Any other error is given back as it is.
 *
 * Errors of the server come in its own language, so they are told apart by what stays the same in each: the SQLSTATE, the name of the
 * setting, and whether the server is still in recovery.
 */
export async function standbyErrorOf(error: unknown, connection: PostgresConnection): Promise<unknown> {
  if (!(error instanceof PostgresError) || error.sqlState !== PREREQUISITE_STATE) return error;
  const said = `The server said: ${error.report.message}.`;
  if (error.report.message.includes('full_page_writes')) return fullPageWritesOff(said, error);
  if (await isPromoted(connection)) return promoted(said, error);
  return error;
}

async function isPromoted(connection: PostgresConnection): Promise<boolean> {
  try {
    return (await showSetting(connection, 'in_hot_standby')) === 'off';
  } catch {
    // The link went as well; then the server's error stands for itself.
    return false;
  }
}

function fullPageWritesOff(said: string, cause: PostgresError): HoldfastError {
  return new HoldfastError(
    'BACKUP_FULL_PAGE_WRITES_OFF',
    'cannot back up the standby: its primary wrote WAL with full_page_writes off',
    {
      detail: `Pages that the backup met half written could not be mended from such WAL. ${said}`,
      hints: [
        'On the primary, run ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf(); CHECKPOINT;',
        'Wait until the standby has replayed that checkpoint, then take the backup again. A backup of the primary needs no waiting.',
      ],
      cause,
    },
  );
}

function promoted(said: string, cause: PostgresError): HoldfastError {
  return new HoldfastError('BACKUP_STANDBY_PROMOTED', 'cannot finish the backup: the standby was promoted meanwhile', {
    detail: `Its files belong to two timelines now. ${said}`,
    hints: [
      'Take the backup again: the server is a primary now.',
      'If nobody promoted it on purpose, look for two servers that both take writes.',
    ],
    retryable: true,
    cause,
  });
}
