import { HoldfastError } from '../../lib/index.ts';
import type { PostgresConnection } from './connection.ts';
import type { SessionAttributes } from './target.ts';

/**
 * Refuses a session on a server that is not of the wanted kind, as libpq's target_session_attrs does. It is judged by what the server
 * reports at the login, over connections for replication as well.
 *
 * Errors: PG_SERVER_ROLE_WRONG, which may be over after a failover.
 * Source: PostgreSQL manual, "Parameter Key Words"; fe-connect.c.
 */
export async function checkSessionRole(connection: PostgresConnection, wanted: SessionAttributes): Promise<void> {
  if (wanted === 'any') return;
  const isStandby = (await ask(connection, 'in_hot_standby')) === 'on';
  const isReadOnly = isStandby || (await ask(connection, 'default_transaction_read_only')) === 'on';
  const fits = {
    'read-write': !isReadOnly,
    'read-only': isReadOnly,
    primary: !isStandby,
    standby: isStandby,
    'prefer-standby': isStandby,
  }[wanted];
  if (fits) return;
  const found = isStandby ? 'a standby' : isReadOnly ? 'a primary whose sessions are read-only' : 'a primary';
  throw new HoldfastError('PG_SERVER_ROLE_WRONG', `could not use ${connection.target.place}: it is ${found}`, {
    detail: `target_session_attrs asks for "${wanted}".`,
    hints: ['Name all servers of the cluster as host=a,b, so that the right one is found also after a failover.'],
    retryable: true,
  });
}

/** A pooler may leave out what the server would have reported. */
async function ask(connection: PostgresConnection, setting: string): Promise<string | null | undefined> {
  const reported = connection.parameters.get(setting);
  if (reported !== undefined) return reported;
  const [result] = await connection.query(`SHOW ${setting}`);
  return result?.rows[0]?.[0];
}
