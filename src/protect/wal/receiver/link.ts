import { type Clock, codeOf, HoldfastError } from '../../../lib/index.ts';
import {
  type ConnectionTarget,
  checkServerVersion,
  connect,
  createPhysicalSlot,
  dropSlot,
  fetchTimelineHistory,
  type IdentifiedSystem,
  identifySystem,
  type PostgresConnection,
  PostgresError,
  parseTimelineHistory,
  readSlot,
  type SlotPosition,
  showSetting,
  type TimelineSwitch,
} from '../../../postgres/index.ts';
import { serverSilent } from './alarms.ts';
import { parseSize } from './setting-size.ts';

/** SQLSTATEs that decide what is done next. */
export const SQL_STATE = {
  undefinedFile: '58P01',
  objectInUse: '55006',
  objectNotInPrerequisiteState: '55000',
  duplicateObject: '42710',
  undefinedObject: '42704',
  undefinedDatabase: '3D000',
  configurationLimit: '53400',
} as const;

/** The first major version whose slots can be read over a connection for replication. */
const READ_SLOT_MAJOR_MIN = 15;

/** Every cluster has this database unless somebody took pains to drop it. */
const COMMON_DATABASE = 'postgres';

/** A server that answered, with what it said of itself. */
export interface Link {
  readonly connection: PostgresConnection;
  readonly identity: IdentifiedSystem;
  /** False while the server is in recovery. */
  readonly isPrimary: boolean;
  readonly segmentBytes: number;
  /** The history file of the server's timeline; `null` on timeline 1. */
  readonly history: TimelineHistory | null;
}

/** A history file and what it says. */
export interface TimelineHistory {
  readonly timeline: number;
  readonly content: string;
  readonly switches: readonly TimelineSwitch[];
}

export interface LinkOptions {
  readonly source: ConnectionTarget;
  readonly applicationName: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Connects for replication and asks the server who it is. Errors: those of `connect`; PG_VERSION_UNSUPPORTED. */
export async function openLink(options: LinkOptions): Promise<Link> {
  const { source, applicationName, clock, signal } = options;
  // The signal ends the attempt but not a connection that was made: what streams over it is ended in good order.
  const attempt = new AbortController();
  const giveUp = () => attempt.abort(signal.reason);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    const connection = await connect(source, {
      replication: 'physical',
      applicationName,
      clock,
      signal: attempt.signal,
    });
    try {
      checkServerVersion(connection.serverVersion);
      return await describeServer(connection);
    } catch (error) {
      connection.destroy(error);
      throw error;
    }
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** Asks again over the same connection: a stream may have lasted for months. */
export function refreshLink(link: Link): Promise<Link> {
  return describeServer(link.connection);
}

/** A server that does not answer a command is left; the slowest of them writes a few bytes. */
const ANSWER_MS_MAX = 60_000;

/** Bounds a question to the server: the link to one that never answers is cut, which fails the question. */
export async function boundAnswer<T>({ connection }: Link, clock: Clock, question: Promise<T>): Promise<T> {
  const answered = new AbortController();
  void clock.sleep(ANSWER_MS_MAX, answered.signal).then(() => {
    if (!answered.signal.aborted) connection.destroy(serverSilent(ANSWER_MS_MAX));
  });
  return question.finally(() => answered.abort());
}

async function describeServer(connection: PostgresConnection): Promise<Link> {
  const segmentBytes = parseSize(await showSetting(connection, 'wal_segment_size'));
  const isPrimary = (await showSetting(connection, 'in_hot_standby')) === 'off';
  const identity = await identifySystem(connection);
  const history = identity.timeline === 1 ? null : await readHistory(connection, identity.timeline);
  return { connection, identity, isPrimary, segmentBytes, history };
}

/** A history file of the server's. Errors: PG_SERVER_ERROR (58P01: it has none), PG_TIMELINE_HISTORY_INVALID. */
export async function readHistory(connection: PostgresConnection, timeline: number): Promise<TimelineHistory> {
  const { content } = await fetchTimelineHistory(connection, timeline);
  return { timeline, content, switches: parseTimelineHistory(content) };
}

/** Where a slot stands. */
export interface SlotState {
  /** From which position on the server keeps WAL; `null` when it keeps none, or would not say. */
  readonly keptFrom: bigint | null;
  /** False when the server would not say. */
  readonly wasRead: boolean;
}

/** Finds the slot or creates it. Errors: PG_SERVER_ERROR (53400 when all slots are in use). */
export async function ensureSlot(link: Link, name: string, options: LinkOptions): Promise<SlotState> {
  const known = await lookAtSlot(link, name, options);
  if (known !== 'absent' && known !== 'not-told') return { keptFrom: known.restartLsn, wasRead: true };
  try {
    await createPhysicalSlot(link.connection, name);
  } catch (error) {
    // It is there after all, and the server would not let us look.
    if (sqlStateOf(error) !== SQL_STATE.duplicateObject) throw error;
  }
  return readNewSlot(link, name, options);
}

/** Drops a slot that keeps nothing any more and creates it again. Errors: PG_SERVER_ERROR (55006 while somebody uses it). */
export async function renewSlot(link: Link, name: string, options: LinkOptions): Promise<SlotState> {
  await dropSlot(link.connection, name).catch((error) => {
    if (sqlStateOf(error) !== SQL_STATE.undefinedObject) throw error;
  });
  return ensureSlot(link, name, options);
}

/** Creates a slot that goes with the connection; `null` when the server has none to give, so that only its luck keeps the WAL. */
export async function makeTemporarySlot(link: Link, name: string, options: LinkOptions): Promise<SlotState | null> {
  try {
    await createPhysicalSlot(link.connection, name, { temporary: true });
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === SQL_STATE.configurationLimit || state === SQL_STATE.objectNotInPrerequisiteState) return null;
    throw error;
  }
  return readNewSlot(link, name, options);
}

async function readNewSlot(link: Link, name: string, options: LinkOptions): Promise<SlotState> {
  const state = await lookAtSlot(link, name, options);
  const wasRead = state !== 'absent' && state !== 'not-told';
  return { keptFrom: wasRead ? state.restartLsn : null, wasRead };
}

async function lookAtSlot(
  link: Link,
  name: string,
  options: LinkOptions,
): Promise<SlotPosition | 'absent' | 'not-told'> {
  if (link.connection.serverVersion.major >= READ_SLOT_MAJOR_MIN) {
    return (await readSlot(link.connection, name)) ?? 'absent';
  }
  // The server of 14 tells it over SQL only, for which the role may not be let in.
  const sql = await openSqlConnection({ ...options, source: link.connection.target }).catch(() => null);
  if (sql === null) return 'not-told';
  try {
    return (await readSlot(sql, name)) ?? 'absent';
  } finally {
    await sql.close();
  }
}

/** Connects for SQL, to the target's database or to the one that every cluster has. */
export async function openSqlConnection(options: LinkOptions): Promise<PostgresConnection> {
  const { source, clock, signal } = options;
  const common = { applicationName: `${options.applicationName}_watch`, clock, signal };
  try {
    return await connect(source, common);
  } catch (error) {
    if (sqlStateOf(error) !== SQL_STATE.undefinedDatabase) throw error;
    return connect(source, { ...common, database: COMMON_DATABASE });
  }
}

/** What the server said of an error, `undefined` when the error is not the server's. */
export function sqlStateOf(error: unknown): string | undefined {
  return error instanceof PostgresError ? error.sqlState : undefined;
}

/** Things that no reconnecting mends, although they come from the side of the server. */
const LASTING_CODES = new Set([
  'PG_VERSION_UNSUPPORTED',
  'PG_SLOT_NAME_INVALID',
  'PG_SLOT_NOT_PHYSICAL',
  'PG_WAL_SEGMENT_SIZE_INVALID',
]);

/**
 * Whether an error on the side of the server may be over at the next attempt. Before the server has answered once, only what says so itself: a
 * wrong password at the start is told at once. Later everything but what cannot change.
 */
export function isServerTrouble(error: unknown, hasAnswered: boolean): error is HoldfastError {
  if (!(error instanceof HoldfastError) || codeOf(error)?.startsWith('PG_') !== true) return false;
  return error.retryable || (hasAnswered && !LASTING_CODES.has(error.code));
}
