import type { Clock } from '../../../lib/index.ts';
import { HoldfastError } from '../../../lib/index.ts';
import { type ConnectionTarget, formatLsn, type PostgresConnection, parseLsn } from '../../../postgres/index.ts';
import {
  findRunningReceiver,
  type LineageInventory,
  readWalInventory,
  receiveWal,
  type WalInventory,
} from '../../../protect/wal/index.ts';
import type { Repository } from '../../../repository/index.ts';
import { ask } from '../gather-server.ts';
import type { ServerFacts } from '../server-facts.ts';

const POLL_MS = 300;

/** By which way WAL came: a receiver that ran already, one that was begun for this, or the server's archiver. */
export type ArrivalWay = 'receiver' | 'own-receiver' | 'archive';

/** Whether a switched segment arrived. */
export type Arrival =
  | {
      readonly kind: 'arrived';
      readonly segment: string;
      readonly lineage: string;
      readonly way: ArrivalWay;
      /** Whether somebody takes from the slot what it keeps. */
      readonly hasReceiver: boolean;
    }
  | { readonly kind: 'missing'; readonly segment: string; readonly way: ArrivalWay; readonly sentence: string };

export interface ArrivalOptions {
  readonly repository: Repository;
  readonly cluster: string;
  readonly slot: string;
  readonly server: Pick<ServerFacts, 'system' | 'walSegmentBytes'>;
  /** Whether the server hands its segments to our archive_command. */
  readonly archives: boolean;
  /** The connection that a receiver begun for this uses. */
  readonly source: ConnectionTarget;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly waitMs: number;
}

/**
 * Makes the server finish a segment and waits until it lies in the repository: set up is what was seen to work (R52).
 *
 * The way that the plan uses is the one that is tried: the archiver when it is ours, else a receiver; one is begun for this when none runs, over the
 * slot that was set up. `connection` is the administrator's. Errors: those of the server and of the store; that nothing came is no error.
 */
export async function proveArrival(connection: PostgresConnection, options: ArrivalOptions): Promise<Arrival> {
  const { repository, cluster, server, archives } = options;
  const running = await findRunningReceiver(repository, { system: server.system, cluster });
  const way: ArrivalWay = archives ? 'archive' : running === null ? 'own-receiver' : 'receiver';
  const before = await readWalInventory(repository);
  const { segment, timeline, end } = await switchSegment(connection, BigInt(server.walSegmentBytes));
  const receiver = way === 'own-receiver' ? beginReceiver(options, end) : null;
  try {
    const lineage = await waitForRange(options, { timeline, end, before }, receiver?.ended ?? null);
    if (lineage !== null) return { kind: 'arrived', segment, lineage, way, hasReceiver: running !== null };
    return {
      kind: 'missing',
      segment,
      way,
      sentence: await explain(connection, options, way, receiver?.failure() ?? null),
    };
  } finally {
    await receiver?.stop();
  }
}

/** An idle server has nothing to switch, so something is written first. */
async function switchSegment(
  connection: PostgresConnection,
  size: bigint,
): Promise<{ segment: string; timeline: number; end: bigint }> {
  await connection.query("SELECT pg_create_restore_point('holdfast_setup')");
  const [row] = await ask(
    connection,
    'SELECT lsn, pg_walfile_name(lsn) AS segment FROM (SELECT pg_switch_wal() AS lsn) switched',
  );
  const [lsn, segment] = [parseLsn(row?.lsn ?? ''), row?.segment ?? ''];
  return { segment, timeline: Number.parseInt(segment.slice(0, 8), 16), end: ((lsn - 1n) / size + 1n) * size };
}

interface BegunReceiver {
  /** Settled, never rejected, when it ends. */
  readonly ended: Promise<void>;
  failure(): HoldfastError | null;
  stop(): Promise<void>;
}

function beginReceiver(options: ArrivalOptions, until: bigint): BegunReceiver {
  const { repository, source, cluster, slot, stateDirectory, clock, signal } = options;
  const ending = new AbortController();
  let failure: HoldfastError | null = null;
  const ended = receiveWal({
    ...{ repository, source, cluster, slot, stateDirectory, clock, until },
    signal: AbortSignal.any([ending.signal, signal]),
    onEvent: (event) => {
      if (event.kind === 'reconnect') failure = event.error;
    },
  }).then(
    () => {},
    (error: unknown) => {
      if (!(error instanceof HoldfastError)) throw error;
      failure = error;
    },
  );
  return {
    ended,
    failure: () => failure,
    stop: async () => {
      ending.abort();
      await ended;
    },
  };
}

/** The lineage in which WAL of the timeline lies up to the end of the segment; `null` when it did not come in time. */
async function waitForRange(
  { repository, cluster, server, clock, signal, waitMs }: ArrivalOptions,
  { timeline, end, before }: { timeline: number; end: bigint; before: WalInventory },
  ended: Promise<void> | null,
): Promise<string | null> {
  const until = clock.monotonic() + waitMs;
  let isOver = false;
  void ended?.then(() => {
    isOver = true;
  });
  for (;;) {
    // Looked at once more after a receiver has ended, as it ends when the range is durable.
    const isLast = isOver || signal.aborted || clock.monotonic() >= until;
    const wanted = { system: server.system, cluster, timeline, end };
    const lineage = findArrived(before, await readWalInventory(repository), wanted);
    if (lineage !== null) return lineage;
    if (isLast) return null;
    await clock.sleep(POLL_MS, signal);
  }
}

/**
 * The lineage that reaches up to a position now and did not before, `null` without one. Which of several lineages a server's WAL goes to is only
 * seen when it comes, and that of another server of the same origin may have reached further all along.
 */
export function findArrived(
  before: WalInventory,
  now: WalInventory,
  wanted: { system: string; cluster: string; timeline: number; end: bigint },
): string | null {
  const { system, cluster, timeline, end } = wanted;
  const had = new Set(before.lineages.flatMap((each) => (reaches(each, timeline, end) ? [each.lineage] : [])));
  const own = now.lineages.filter((each) => each.system === system && each.header.cluster === cluster);
  return own.find((each) => reaches(each, timeline, end) && !had.has(each.lineage))?.lineage ?? null;
}

function reaches({ timelines }: LineageInventory, timeline: number, end: bigint): boolean {
  return (timelines.get(timeline)?.ranges ?? []).some((range) => range.start < end && range.end >= end);
}

async function explain(
  connection: PostgresConnection,
  { waitMs, slot }: ArrivalOptions,
  way: ArrivalWay,
  failure: HoldfastError | null,
): Promise<string> {
  const waited = `It did not come within ${waitMs / 1000} seconds`;
  if (way === 'archive') {
    const [row] = await ask(
      connection,
      `SELECT last_failed_wal FROM pg_stat_archiver
        WHERE last_failed_time IS NOT NULL AND (last_archived_time IS NULL OR last_failed_time > last_archived_time)`,
    );
    if (row === undefined) return `${waited}, and the archiver has reported no failure.`;
    return `The archive_command fails for "${row.last_failed_wal}"; the server's log has what it said.`;
  }
  if (failure !== null)
    return [`The receiver could not bring it: ${failure.message}.`, failure.detail ?? ''].join(' ').trim();
  const [row] = await ask(connection, `SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '${slot}'`);
  const at = row?.restart_lsn == null ? 'keeps nothing' : `stands at ${formatLsn(parseLsn(row.restart_lsn))}`;
  return `${waited}; the slot "${slot}" ${at}.`;
}
