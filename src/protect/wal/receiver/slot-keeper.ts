import type { HoldfastError } from '../../../lib/index.ts';
import type { PostgresConnection } from '../../../postgres/index.ts';
import { slotActive, slotLostAlarm } from './alarms.ts';
import {
  ensureSlot,
  type Link,
  type LinkOptions,
  makeTemporarySlot,
  renewSlot,
  SQL_STATE,
  sqlStateOf,
} from './link.ts';

/** A receiver that was killed leaves its slot in use for a moment; a second receiver would wait for ever. */
const SLOT_BUSY_MS_MAX = 5_000;

/** The slot that a stream is to use. */
export interface TakenSlot {
  /** `null` when the server had none to give to a temporary receiver. */
  readonly name: string | null;
  /** From here on the server keeps WAL for us; `null` when that cannot be known. */
  readonly keptFrom: bigint | null;
  /** Set when the slot that was there kept nothing any more and was made anew. */
  readonly lostBefore: HoldfastError | null;
}

/** Keeps one slot in being: a permanent one of the cluster's, or one that goes with the connection. */
export class SlotKeeper {
  readonly name: string;
  readonly #isTemporary: boolean;
  readonly #options: LinkOptions;
  #temporary: { readonly connection: PostgresConnection; readonly slot: TakenSlot } | null = null;
  #busySince: number | null = null;
  #lost: { readonly cause: unknown } | null = null;

  /** `receiver` tells temporary slots of several backups apart. */
  constructor(options: { name: string; temporary: boolean; receiver: string; link: LinkOptions }) {
    this.#isTemporary = options.temporary;
    // Beside the permanent slot's name, which is at most 63 bytes long.
    this.name = options.temporary ? `${options.name.slice(0, 45)}_${options.receiver}` : options.name;
    this.#options = options.link;
  }

  /** The server said that the slot is of no use any more: it is made anew when it is taken next. */
  noteLost(cause: unknown): void {
    this.#lost = { cause };
  }

  /** The stream has begun: the slot is ours. */
  noteStarted(): void {
    this.#busySince = null;
  }

  /**
   * Looks at what the server said when the stream was to begin, at a time of a monotonic clock. When somebody else uses the slot, gives the error
   * to tell, and whether that has lasted for longer than a receiver that was killed would hold it; else `null`.
   */
  noteStartError(error: unknown, nowMs: number): { error: HoldfastError; isLasting: boolean } | null {
    const state = sqlStateOf(error);
    if (state === SQL_STATE.objectNotInPrerequisiteState) this.noteLost(error);
    if (state !== SQL_STATE.objectInUse) return null;
    this.#busySince ??= nowMs;
    return { error: slotActive(this.name, error), isLasting: nowMs - this.#busySince >= SLOT_BUSY_MS_MAX };
  }

  /** Finds or makes the slot. Errors: those of the server. */
  async take(link: Link): Promise<TakenSlot> {
    if (this.#isTemporary) return this.#takeTemporary(link);
    const found = this.#lost === null ? await ensureSlot(link, this.name, this.#options) : null;
    if (found !== null && (found.keptFrom !== null || !found.wasRead)) {
      return { name: this.name, keptFrom: found.keptFrom, lostBefore: null };
    }
    const cause = this.#lost?.cause;
    const { keptFrom } = await renewSlot(link, this.name, this.#options);
    this.#lost = null;
    return { name: this.name, keptFrom, lostBefore: slotLostAlarm(this.name, cause) };
  }

  async #takeTemporary(link: Link): Promise<TakenSlot> {
    if (this.#temporary?.connection === link.connection) return this.#temporary.slot;
    const made = await makeTemporarySlot(link, this.name, this.#options);
    const slot = { name: made === null ? null : this.name, keptFrom: made?.keptFrom ?? null, lostBefore: null };
    this.#temporary = { connection: link.connection, slot };
    return slot;
  }
}
