import type { Clock } from '../../../lib/index.ts';
import type { PostgresConnection, WalStream } from '../../../postgres/index.ts';

/** A server that does not answer the end of the stream is left. */
const STREAM_STOP_MS_MAX = 5_000;

/** Ends a stream in good order, or cuts the connection of one that does not end. All that came was stored and told before. */
export async function stopStream(
  stream: WalStream,
  connection: PostgresConnection | null,
  clock: Clock,
): Promise<void> {
  const patience = new AbortController();
  const late = clock.sleep(STREAM_STOP_MS_MAX, patience.signal).then(() => 'late' as const);
  const outcome = await Promise.race([stream.stop().catch(() => 'failed' as const), late]);
  patience.abort();
  if (outcome === 'late') connection?.destroy();
}
