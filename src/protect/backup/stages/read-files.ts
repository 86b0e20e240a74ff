import type { LedgerWriter } from '../../../ledger/index.ts';
import { INCREMENTS_MAJOR_MIN, readSlot } from '../../../postgres/index.ts';
import type { ReadingDone } from '../reading-done.ts';
import { type CastDoubt, castDoubt } from './cast-doubt.ts';
import type { Reading } from './choose-reading.ts';
import { keepWal } from './keep-wal.ts';
import type { DirectAccess } from './open-direct.ts';
import { readDirectly } from './read-directly.ts';
import { type ReceivedFiles, type ReceiveOptions, receiveFiles } from './receive-files.ts';
import { receiveIncrement } from './receive-increment.ts';
import type { SecuredWal } from './secured-wal.ts';

/** What is needed whichever way the files are read. */
export type ReadOptions = ReceiveOptions & {
  lineage: string;
  workers: number;
  direct: DirectAccess | null;
  wal: SecuredWal;
  ledger: LedgerWriter;
  cluster: string;
  /** Keeps the WAL of a standby; null where there is none. */
  slot: string | null;
};

/** All that the server has, how it was read, and what was found on the way against older snapshots. */
export interface FilesRead {
  readonly received: ReceivedFiles;
  readonly reading: ReadingDone;
  readonly doubt: CastDoubt | null;
  /** What keeps the WAL of a standby from now on; null where nothing does. */
  readonly slot: string | null;
}

/**
 * Reads the server as `reading` has it. An increment that cannot be had, or is not to be trusted, never ends the run: then everything is read.
 *
 * Errors: those of the ways in which it reads.
 */
export async function readFiles(options: ReadOptions & { reading: Reading }): Promise<FilesRead> {
  const { reading: wanted } = options;
  const { slot } = options;
  if (wanted.manner === 'everything') return { ...(await readEverything(options, wanted)), doubt: null, slot };
  const { base } = wanted;
  const { snapshot } = base;
  const outcome = await receiveIncrement({ ...options, base });
  if (outcome.received === null) {
    const { why, findings, sparesBase = false } = outcome;
    const doubt = findings === null ? null : await castDoubt({ ...options, base: snapshot, findings, sparesBase });
    const kept = await keepSlot(options);
    return { ...(await readEverything(options, { manner: 'everything', over: base, why })), doubt, slot: kept };
  }
  const { crossCheck } = outcome.verdict;
  if (crossCheck.why !== null) options.progress.note(`the increment was not held against the WAL: ${crossCheck.why}`);
  const reading = { manner: 'increment', base: snapshot.id, baseStart: snapshot.wal.start, crossCheck } as const;
  return { received: outcome.received, reading, doubt: null, slot };
}

/** With every error that it reports the server drops the slots that go with the connection, so the WAL may have to be kept by a new one. */
async function keepSlot({ connection, server, cluster, slot }: ReadOptions): Promise<string | null> {
  if (slot === null || (await readSlot(connection, slot)) !== null) return slot;
  return keepWal(connection, { server, cluster });
}

async function readEverything(
  options: ReadOptions,
  { over, why }: Reading & { manner: 'everything' },
): Promise<{ received: ReceivedFiles; reading: ReadingDone }> {
  const { direct, progress, server } = options;
  // Of what was never otherwise, or cannot be, nobody wants to hear in each run: the result says it.
  const isNews = over !== null && server.version.major >= INCREMENTS_MAJOR_MIN;
  if (why !== null && isNews) progress.note(`no increment, everything is read: ${why}`);
  const reading = { ...options, previous: over };
  const received = await (direct === null ? receiveFiles(reading) : readDirectly({ ...reading, direct }));
  const method = direct === null ? 'stream' : 'direct';
  return { received, reading: { manner: 'everything', over: over?.snapshot.id ?? null, why, method } };
}
