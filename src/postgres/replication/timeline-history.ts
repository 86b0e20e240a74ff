import type { PostgresConnection } from '../connection/index.ts';
import { onlyRow } from './rows.ts';

/**
 * The history file of a timeline above 1, as the server has it. Read it with `parseTimelineHistory`.
 * Errors: PG_SERVER_ERROR (58P01: the server has no such file).
 */
export async function fetchTimelineHistory(
  connection: PostgresConnection,
  timeline: number,
): Promise<{ name: string; content: string }> {
  const command = `TIMELINE_HISTORY ${timeline}`;
  const row = onlyRow(await connection.query(command), command);
  return { name: row.text('filename'), content: row.text('content') };
}
