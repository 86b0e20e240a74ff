import type { Clock, Progress } from '../../lib/index.ts';
import type { RestoreProposal } from '../proposal.ts';
import { type FetchLimits, placeAllWal, type ReadWalFile, type RecoverySpool } from '../spool/index.ts';

/**
 * Makes the spool with the plan. What a restore that was broken off has left in it, and was kept when the directory was claimed, is there already. When nobody will fetch WAL later, all of it is placed now, so that the directory needs nothing and nobody
 * else to recover; otherwise only the histories, which the server asks for first.
 *
 * Errors: RESTORE_WAL_UNAVAILABLE.
 */
export async function placeWal(options: {
  proposal: RestoreProposal;
  spool: RecoverySpool;
  read: ReadWalFile;
  clock: Clock;
  progress: Progress;
  limits?: FetchLimits | undefined;
  signal?: AbortSignal;
}): Promise<void> {
  const { proposal, spool, progress, limits = {} } = options;
  const { files } = proposal.wal;
  const placed = files.filter(({ kind }) => !proposal.start || kind === 'history').map(({ name }) => name);
  progress.begin('bringing WAL', { unit: 'segments', total: placed.length });
  const { silenceSecondsMax: fetcherSilenceSecondsMax } = limits;
  await spool.create({
    files: files.map(({ name }) => name),
    fetched: proposal.start,
    ...(fetcherSilenceSecondsMax === undefined ? {} : { fetcherSilenceSecondsMax }),
  });
  const there = new Set(await spool.listReady());
  const missing = placed.filter((name) => !there.has(name));
  if (missing.length < placed.length) progress.advance(placed.length - missing.length);
  await placeAllWal({ ...options, limits, files: missing, onPlaced: () => progress.advance(1) });
}
