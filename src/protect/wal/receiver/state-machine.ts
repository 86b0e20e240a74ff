import { assert } from '../../../lib/index.ts';

/**
 * The WAL receiver as a table.
 *
 *          ┌─────────────────────────── unreachable, from any of the states below ──────────────────────────┐
 *          ▼                                                                                                │
 *   waiting ── retry ──▶ connecting ── identified ──▶ preparing ── stream-opened ──▶ comparing ── compared ──▶ streaming
 *                                                      ▲  ▲  │                        │   │                    │     │
 *                                                      │  │  └──── diverged ────┐     │   └── timeline-ended ──┼─────┤
 *                                                      │  │                     ▼     ▼                        │     ▼
 *                                                      │  └── fork-located ── locating-fork ◀── diverged ──────┘  switching
 *                                                      └─────────────────────── history-stored ────────────────────┘
 *
 *   locating-fork ── another-lineage ──▶ preparing, as long as another lineage of the cluster may be the server's
 *   from any of them:  ── stop-requested ──▶ draining ── drained ──▶ stopped        ── broken ──▶ failed
 *
 * Invariants, in every state:
 * 1. What was reported to the server as flushed is durable, and so is all WAL before it from where the receiver began (rule A14).
 * 2. No WAL of a timeline is stored before its history file is (timeline 1 has none).
 * 3. A lineage holds one history: nothing new is stored in it before the last stored bytes were compared with the server's (rule A4).
 * 4. A flush position is reported only once the comparison has passed the end of what was stored.
 * 5. Fragments are deleted only when the segment that holds their bytes was read back and compared.
 *
 * Waits, each with its bound:
 *   waiting        RECONNECT_DELAY_MS_MAX, doubled from RECONNECT_DELAY_MS_MIN; ended early by a stop
 *   connecting     the target's connect_timeout, then ANSWER_MS_MAX for each answer
 *   preparing      ANSWER_MS_MAX for each answer of the server; SLOT_BUSY_MS_MAX in all for a slot that somebody else uses when the receiver
 *                  has just begun; the store's own time-outs, and a store that is away is asked again, for ever, with an alarm
 *   comparing      60 s (the WAL stream's own timeout) without a word from the server, whose keepalives count
 *   streaming      the same; a stop or the end of a timeline are told at once
 *   switching      as preparing
 *   locating-fork  as comparing; it ends at the server's flush position of when it began
 *   draining       one attempt for each object that is not stored yet, then it ends whatever the store says
 */
export type ReceiverState =
  | 'waiting'
  | 'connecting'
  | 'preparing'
  | 'comparing'
  | 'streaming'
  | 'switching'
  | 'locating-fork'
  | 'draining'
  | 'stopped'
  | 'failed';

export type ReceiverEvent =
  /** The wait before another attempt is over. */
  | 'retry'
  /** The server has said who it is and where it stands. */
  | 'identified'
  /** Lineage, histories and slot are in place, and the server has agreed to send WAL. */
  | 'stream-opened'
  /** All that was stored before has been compared and is equal. */
  | 'compared'
  /** The server has other bytes, or another history, than what is stored. */
  | 'diverged'
  /** It is known up to where the server's WAL equals what is stored, and the new lineage is begun. */
  | 'fork-located'
  /** The server's WAL is not that of the lineage it was held against; another one may be its own. */
  | 'another-lineage'
  /** The server has sent all of this timeline. */
  | 'timeline-ended'
  /** The history file of the next timeline is durable. */
  | 'history-stored'
  /** The connection is gone or could not be made, or the server was shut down. */
  | 'unreachable'
  /** The signal was given, or the position to stop at is durable. */
  | 'stop-requested'
  /** What had been received is stored, as far as the store took it. */
  | 'drained'
  /** Something that waiting will not mend. */
  | 'broken';

/** `null` where the pair cannot come to pass. */
type TransitionTable = Record<ReceiverState, Record<ReceiverEvent, ReceiverState | null>>;

const NEVER: Record<ReceiverEvent, null> = {
  retry: null,
  identified: null,
  'stream-opened': null,
  compared: null,
  diverged: null,
  'fork-located': null,
  'another-lineage': null,
  'timeline-ended': null,
  'history-stored': null,
  unreachable: null,
  'stop-requested': null,
  drained: null,
  broken: null,
};

const WHILE_ALIVE = { ...NEVER, 'stop-requested': 'draining', broken: 'failed' } as const;
const WHILE_CONNECTED = { ...WHILE_ALIVE, unreachable: 'waiting' } as const;

export const TRANSITIONS: TransitionTable = {
  waiting: { ...WHILE_ALIVE, retry: 'connecting' },
  connecting: { ...WHILE_CONNECTED, identified: 'preparing' },
  preparing: { ...WHILE_CONNECTED, 'stream-opened': 'comparing', diverged: 'locating-fork' },
  comparing: { ...WHILE_CONNECTED, compared: 'streaming', diverged: 'locating-fork', 'timeline-ended': 'switching' },
  streaming: { ...WHILE_CONNECTED, diverged: 'locating-fork', 'timeline-ended': 'switching' },
  switching: { ...WHILE_CONNECTED, 'history-stored': 'preparing' },
  'locating-fork': { ...WHILE_CONNECTED, 'fork-located': 'preparing', 'another-lineage': 'preparing' },
  draining: { ...NEVER, drained: 'stopped', broken: 'failed' },
  stopped: NEVER,
  failed: NEVER,
};

/** Where the receiver starts. */
export const INITIAL_STATE: ReceiverState = 'connecting';

/** The state after an event; a pair that the table rules out is a broken invariant. */
export function transition(state: ReceiverState, event: ReceiverEvent): ReceiverState {
  const next = TRANSITIONS[state][event];
  assert(next !== null, `a WAL receiver that is ${state} cannot meet "${event}"`);
  return next;
}

/** True when nothing can happen any more. */
export function isFinal(state: ReceiverState): state is 'stopped' | 'failed' {
  return Object.values(TRANSITIONS[state]).every((next) => next === null);
}
