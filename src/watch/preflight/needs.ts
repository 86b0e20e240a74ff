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
 * What the plan says; else what a day without a receiver would write, at least four gigabytes and twice `max_wal_size`, and at most half of the room
 * that is free beside pg_wal where that can be seen.
 */
export function proposeSlotBudget(
  facts: Pick<ServerFacts, 'walBytesPerSecond' | 'settings'>,
  known: { readonly plannedBytes: number | null; readonly freeBytes: number | null },
): { bytes: number; origin: string } {
  if (known.plannedBytes !== null) return { bytes: known.plannedBytes, origin: 'as the plan says' };
  const perDay = (facts.walBytesPerSecond ?? 0) * BUDGET_SECONDS;
  const checkpointing = facts.settings.get('max_wal_size');
  const atLeast = Math.max(BUDGET_BYTES_MIN, checkpointing === undefined ? 0 : 2 * (settingBytes(checkpointing) ?? 0));
  const wished = Math.max(perDay, atLeast);
  if (known.freeBytes !== null && wished > known.freeBytes / 2) {
    return { bytes: known.freeBytes / 2, origin: 'half of the room that is free beside pg_wal' };
  }
  return {
    bytes: wished,
    origin: perDay > atLeast ? 'a day of WAL at the rate so far' : 'at least 4 GiB and twice max_wal_size',
  };
}
