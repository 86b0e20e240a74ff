import { type Clock, HoldfastError } from '../../../lib/index.ts';
import {
  connect,
  type IdentifiedSystem,
  identifySystem,
  type PostgresConnection,
  parseLsn,
  showSetting,
  type Timestamp,
} from '../../../postgres/index.ts';
import { type LinkOptions, openSqlConnection } from './link.ts';
import { askAboutSpace, type ServerSpace } from './server-space.ts';
import { findInSynchronousNames, type SynchronousMention } from './synchronous-names.ts';

/** How often the server is asked. A commit that begins to wait for us waits this much longer, once. */
const WATCH_INTERVAL_MS = 1_000;

/** How often it is asked what WAL takes on it: listing pg_wal costs more than a look at a view. */
const SPACE_INTERVAL_MS = 10_000;

/** A server whose watch cannot be kept is asked again after so long; until then it is taken to wait for us. */
const WATCH_RETRY_MS = 5_000;

/** At a moment of the server's clock, its WAL was flushed up to a position. */
export interface FlushMark {
  readonly at: Timestamp;
  readonly lsn: bigint;
}

/** What the server said. */
export interface ServerReport {
  /** Whether commits wait for this receiver. */
  readonly synchronous: boolean;
  /** How it came to be named in synchronous_standby_names. */
  readonly mention: SynchronousMention;
  /** `null` when the server would not say. */
  readonly mark: FlushMark | null;
}

export interface WatchOptions extends LinkOptions {
  readonly clock: Clock;
  /** The server process that sends us WAL. */
  readonly processId: number;
  /** Who the server of the stream said it was, last. */
  readonly identity: () => IdentifiedSystem;
  /** For a watch that may only use replication: the last moment of the server's clock that the stream told, and the wish to be told anew. */
  readonly streamTime: () => Timestamp | null;
  readonly askStreamTime: () => void;
  readonly onReport: (report: ServerReport) => void;
  /** The slot whose WAL is watched; `null` for one that goes with its connection. */
  readonly slot: string | null;
  /** Told as often as SPACE_INTERVAL_MS says, where SQL is allowed. */
  readonly onSpace: (space: ServerSpace) => void;
}

/**
 * Asks the server about once a second whether commits wait for us, and how far it is (rule C3), until the signal is given.
 *
 * Whoever is chosen as synchronous standby cannot be told from its own connection, so a second one is kept: for SQL, where the role may read
 * pg_stat_replication; else the setting alone has to do, over SQL or, where pg_hba.conf lets us in for replication only, over that.
 * As long as the server has not answered, commits may be waiting, and the receiver stores at once.
 *
 * Behind an address that moves, the second connection may meet another server than the stream's, whose words would be about other WAL. What it
 * says is left out of account until it is the right one again.
 */
export async function watchServer(options: WatchOptions): Promise<void> {
  const { clock, signal } = options;
  while (!signal.aborted) {
    const connection = await openWatch(options);
    if (connection !== null) await askUntilItFails(connection, options);
    await clock.sleep(WATCH_RETRY_MS, signal);
  }
}

/** `null` when neither road is open now; the stream itself will say what is wrong with the server. */
async function openWatch(options: WatchOptions): Promise<PostgresConnection | null> {
  try {
    return await openSqlConnection(options);
  } catch {
    // Perhaps only replication is allowed.
  }
  try {
    const { source, applicationName, clock, signal } = options;
    // Under another name than the stream's, so that the server never counts it as the standby.
    return await connect(source, {
      replication: 'physical',
      applicationName: `${applicationName}_watch`,
      clock,
      signal,
    });
  } catch {
    return null;
  }
}

async function askUntilItFails(connection: PostgresConnection, options: WatchOptions): Promise<void> {
  const { clock, signal, onReport } = options;
  let nextSpaceAt = clock.monotonic();
  try {
    while (!signal.aborted) {
      // Also when the stream is cut: a server that throws WAL away does that first.
      if (connection.replication === 'off' && clock.monotonic() >= nextSpaceAt) {
        nextSpaceAt = clock.monotonic() + SPACE_INTERVAL_MS;
        const space = await askAboutSpace(connection, { slot: options.slot, systemId: options.identity().systemId });
        if (space !== null) options.onSpace(space);
      }
      const report =
        connection.replication === 'off'
          ? await askOverSql(connection, options)
          : await askOverReplication(connection, options);
      if (report === null) return;
      onReport(report);
      await clock.sleep(WATCH_INTERVAL_MS, signal);
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    // The link is lost, or the server is in a state in which it does not answer: asked again on a new link.
  } finally {
    await connection.close();
  }
}

/**
 * The time is read before the position, so that all WAL flushed before that time lies before the position. A standby cannot say it: what its
 * primary has flushed meanwhile it does not know. `null` from a server that is not the stream's: the process that sends to us is not there.
 */
async function askOverSql(connection: PostgresConnection, options: WatchOptions): Promise<ServerReport | null> {
  const [result] = await connection.query(`
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
           CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END,
           current_setting('synchronous_standby_names'),
           (SELECT sync_state FROM pg_stat_replication WHERE pid = ${options.processId}),
           (SELECT system_identifier FROM pg_control_system()),
           EXISTS (SELECT FROM pg_stat_replication WHERE pid = ${options.processId})`);
  const [at, lsn, names, state, system, isSender] = result?.rows[0] ?? [];
  if (system !== options.identity().systemId || isSender !== 't') return null;
  const mention = findInSynchronousNames(names ?? '', options.applicationName);
  // Without the right to see it the state is null, and then the setting decides.
  const synchronous = state == null ? mention !== 'none' : state === 'sync' || state === 'quorum';
  const mark = at == null || lsn == null ? null : { at: BigInt(at), lsn: parseLsn(lsn) };
  return { synchronous, mention, mark };
}

/** `null` from a server of another system or on another timeline; more cannot be told on this road. */
async function askOverReplication(connection: PostgresConnection, options: WatchOptions): Promise<ServerReport | null> {
  const at = options.streamTime();
  options.askStreamTime();
  const isPrimary = (await showSetting(connection, 'in_hot_standby')) === 'off';
  const { systemId, timeline, flushLsn } = await identifySystem(connection);
  const expected = options.identity();
  if (systemId !== expected.systemId || timeline !== expected.timeline) return null;
  const mention = findInSynchronousNames(
    await showSetting(connection, 'synchronous_standby_names'),
    options.applicationName,
  );
  return { synchronous: mention !== 'none', mention, mark: at === null || !isPrimary ? null : { at, lsn: flushLsn } };
}
