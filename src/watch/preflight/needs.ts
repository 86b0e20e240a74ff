import { type ServerFacts, settingBytes } from './server-facts.ts';

/** What Holdfast itself opens: a receiver, a base backup at the same time, and one to spare for a connection that the server has not noticed to be dead. */
const OWN_SENDERS = 3;

/** The receiver's slot, and a temporary one for a backup that brings its own WAL. */
const OWN_SLOTS = 2;

/** A slot keeps at least this much: a restart of a receiver's host, or a slow hour of its store. */
const BUDGET_BYTES_MIN = 4 * 1024 ** 3;
/** So long a receiver may be away at the rate at which the server has written so far. */
const BUDGET_SECONDS = 24 * 60 * 60;

/** Names by which the server knows connections and slots of ours, for whichever cluster. */
export function isOurs(name: string): boolean {
  return /^holdfast(_|$)/.test(name);
}

/** How many senders others use or will: those that are connected, and the owners of slots that are away just now. */
function countOthers({ senders, slots }: Pick<ServerFacts, 'senders' | 'slots'>): number {
  const connected = senders.filter(({ applicationName }) => !isOurs(applicationName)).length;
  const away = slots.filter(({ name, isActive, isTemporary }) => !isOurs(name) && !isActive && !isTemporary).length;
  return connected + away;
}

/** `max_wal_senders` as it has to be at least, with the sum for people. */
export function neededSenders(facts: Pick<ServerFacts, 'senders' | 'slots'>): { count: number; sum: string } {
  const others = countOthers(facts);
  const sum = `${others} for replicas and other clients, ${OWN_SENDERS} for a receiver, a backup and one to spare`;
  return { count: others + OWN_SENDERS, sum };
}

/** `max_replication_slots` as it has to be at least, with the sum for people. */
export function neededSlots({ slots }: Pick<ServerFacts, 'slots'>): { count: number; sum: string } {
  const others = slots.filter(({ name }) => !isOurs(name)).length;
  const sum = `${others} of others, ${OWN_SLOTS} for the receiver and for a backup that brings its own WAL`;
  return { count: others + OWN_SLOTS, sum };
}

/**
 * How many bytes of WAL a slot may keep at most (rule C2), and where that comes from.
 *
 * What was asked for; else what a day without a receiver would write, at least four gigabytes and twice `max_wal_size`, and at most half of the room
 * that is free beside pg_wal where that can be seen. A limit holds for every slot: one below what some slot keeps already would make the server
 * give that one up, so twice as much is the least.
 */
export function proposeSlotBudget(
  facts: Pick<ServerFacts, 'walBytesPerSecond' | 'settings' | 'slots'>,
  known: { readonly wantedBytes: number | null; readonly freeBytes: number | null },
): { bytes: number; origin: string } {
  if (known.wantedBytes !== null) return { bytes: known.wantedBytes, origin: 'as was asked for' };
  const perDay = (facts.walBytesPerSecond ?? 0) * BUDGET_SECONDS;
  const checkpointing = facts.settings.get('max_wal_size');
  const atLeast = Math.max(BUDGET_BYTES_MIN, checkpointing === undefined ? 0 : 2 * (settingBytes(checkpointing) ?? 0));
  const wished = Math.max(perDay, atLeast);
  const kept = 2 * largestKept(facts);
  if (kept > wished || (known.freeBytes !== null && kept > known.freeBytes / 2)) {
    return { bytes: kept, origin: 'twice what a slot keeps already' };
  }
  if (known.freeBytes !== null && wished > known.freeBytes / 2) {
    return { bytes: known.freeBytes / 2, origin: 'half of the room that is free beside pg_wal' };
  }
  return {
    bytes: wished,
    origin: perDay > atLeast ? 'a day of WAL at the rate so far' : 'at least 4 GiB and twice max_wal_size',
  };
}

/** What the slot that is furthest behind keeps, in bytes. */
export function largestKept({ slots }: Pick<ServerFacts, 'slots'>): number {
  return Math.max(0, ...slots.map(({ keptBytes }) => keptBytes ?? 0));
}

/**
 * What has to be done before `max_wal_senders` is raised on this server; `null` without standbys. A standby on which it is lower than on its primary
 * stops replaying. Source: PostgreSQL manual, "Hot Standby", Administrator's Overview.
 */
export function standbysFirst({ senders, slots }: Pick<ServerFacts, 'senders' | 'slots'>): string | null {
  if (countOthers({ senders, slots }) === 0) return null;
  return 'Raise it on every standby first and restart those: one on which it is lower than on its primary stops replaying.';
}
