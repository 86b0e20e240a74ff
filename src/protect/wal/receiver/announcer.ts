import type { WalAlarm, WalEvent } from '../events.ts';
import type { WalInventory } from '../inventory.ts';

/** Tells what happens, and each lasting trouble once, however often it is met. */
export class Announcer {
  readonly emit: (event: WalEvent) => void;
  readonly #told = new Set<string>();

  constructor(onEvent: (event: WalEvent) => void) {
    this.emit = onEvent;
  }

  alarm(alarm: WalAlarm): void {
    this.emit({ kind: 'alarm', ...alarm });
  }

  /** Tells an alarm unless one with this key was told and is not over. */
  alarmOnce(key: string, alarm: WalAlarm): void {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.alarm(alarm);
  }

  /** The trouble with this key is over; true when it had been told. */
  isOver(key: string): boolean {
    return this.#told.delete(key);
  }

  /** Names what a listing found damaged. */
  damage(inventory: WalInventory): void {
    for (const { objectName, error } of inventory.damaged) {
      this.alarmOnce(objectName, { alarm: 'damaged', objectName, error });
    }
  }
}
