import type { RowContext } from './row.ts';
import { type BenchServer, startBenchServer } from './server.ts';
import { sharePackage } from './tools/index.ts';

/**
 * A server of a row's own, for another data set than the bench's: a backup is of a whole cluster, so that tables beside the others would not do.
 * It goes with all that is in it when it is disposed of.
 */
export async function startOwnServer({ peers, server }: RowContext): Promise<BenchServer> {
  const own = await startBenchServer(peers);
  try {
    await sharePackage(server.workplace.outside, own.workplace.outside);
    return own;
  } catch (error) {
    await own.stop();
    throw error;
  }
}
