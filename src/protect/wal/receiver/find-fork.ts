import { type PostgresConnection, startReplication } from '../../../postgres/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { type ComparedObject, Comparison } from './comparison.ts';
import { SQL_STATE, sqlStateOf } from './link.ts';

/** So many equal bytes before a difference prove that the WAL forked there and not before: a page, with records that name their place. */
export const FORK_PROOF_BYTES = 8192n;

/** The fork position that says that none could be proved. */
export const FORK_NOT_KNOWN = 0n;

/**
 * Compares the server's WAL with what is stored, from `start` on, and finds where they part: at the first byte that differs, or at `until`, where
 * the server's WAL ended when it was asked. `FORK_NOT_KNOWN` when too little before that was found equal, or the server has no WAL from `start`.
 *
 * The connection is good for the next command afterwards. Errors: those of the connection and of the store.
 */
export async function findFork(options: {
  repository: Repository;
  connection: PostgresConnection;
  stored: readonly ComparedObject[];
  timeline: number;
  start: bigint;
  until: bigint;
  signal: AbortSignal;
}): Promise<bigint> {
  const { repository, connection, stored, timeline, start, until, signal } = options;
  // Damage was told when the object was compared first; here it only proves nothing.
  const comparison = new Comparison(repository, stored, () => {});
  const finished = Promise.withResolvers<void>();
  let forkLsn = null as bigint | null;
  const stop = () => finished.resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const stream = await startReplication(connection, {
      startLsn: start,
      timeline,
      onWal: async ({ startLsn, data }) => {
        if (forkLsn !== null) return;
        const divergence = await comparison.check(startLsn, data);
        if (divergence !== null) forkLsn = divergence.lsn;
        else if (startLsn + BigInt(data.length) >= until) forkLsn = until;
        if (forkLsn !== null) finished.resolve();
      },
    });
    await Promise.race([finished.promise, stream.ended]);
    await stream.stop();
  } catch (error) {
    if (sqlStateOf(error) !== SQL_STATE.undefinedFile) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  if (forkLsn === null || comparison.comparedBytes < FORK_PROOF_BYTES) return FORK_NOT_KNOWN;
  return forkLsn;
}
