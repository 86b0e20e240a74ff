import { formatDuration, type Progress } from '../../../lib/index.ts';
import { type PostgresConnection, showSetting } from '../../../postgres/index.ts';

/**
 * Begins the stage in which a backup waits for the checkpoint that it asks for; of a spread one it says how long that may take, as whoever watches
 * would otherwise take the silence for a fault.
 *
 * Errors: those of a query.
 */
export async function tellOfCheckpoint(options: {
  connection: PostgresConnection;
  progress: Progress;
  checkpoint: 'fast' | 'spread';
}): Promise<void> {
  const { connection, progress, checkpoint } = options;
  progress.begin('waiting for a checkpoint');
  if (checkpoint === 'fast') return;
  const timeout = await showSetting(connection, 'checkpoint_timeout');
  const target = await showSetting(connection, 'checkpoint_completion_target');
  progress.note(describeSpreading(timeout, target));
}

/** `timeout` and `target`: as the server shows `checkpoint_timeout` and `checkpoint_completion_target`. */
export function describeSpreading(timeout: string, target: string): string {
  const longestMs = toMilliseconds(timeout) * Number(target);
  const time = Number.isFinite(longestMs) ? `up to ${formatDuration(longestMs)}` : 'minutes';
  return `the server spreads its checkpoint over ${time}, after one that may be under way; "fast" instead of "spread" begins at once`;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads a duration as `SHOW` prints it, such as `5min`; NaN for anything else, as it is only for people. */
function toMilliseconds(text: string): number {
  const match = /^([0-9]+)(s|min|h|d)$/.exec(text);
  return Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ''] ?? Number.NaN);
}
