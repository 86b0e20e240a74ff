import type { Timestamp } from '../../../postgres/index.ts';
import type { WalProgress } from '../events.ts';
import { maxLsn } from '../lsn-ranges.ts';
import type { FlushMark } from './server-watch.ts';

/** Marks that wait for the store; when it is away for longer, the newer ones say as much. */
const MARKS_MAX = 64;

/** How far a receiver is. */
export type WalPositions = Omit<WalProgress, 'place' | 'timeline' | 'synchronous'>;

/** What a receiver knows about itself and the server: positions, and up to when nothing is missing. */
export class ProgressKeeper {
  #durableLsn = 0n;
  #serverFlushLsn = 0n;
  #known: { until: Timestamp; lsn: bigint } | null = null;
  #serverTime: Timestamp | null = null;
  #marks: FlushMark[] = [];

  get durableLsn(): bigint {
    return this.#durableLsn;
  }

  get serverFlushLsn(): bigint {
    return this.#serverFlushLsn;
  }

  /** All WAL that the server had flushed at this moment of its clock is durable; it ended at `lsn`. */
  get known(): { readonly until: Timestamp; readonly lsn: bigint } | null {
    return this.#known;
  }

  /** The last moment of the server's clock that the stream told. */
  get serverTime(): Timestamp | null {
    return this.#serverTime;
  }

  /** All positions, with those of what is being received. */
  positions({ received, durable }: { readonly received: bigint; readonly durable: bigint }): WalPositions {
    return {
      durableLsn: this.#durableLsn,
      durableHereLsn: maxLsn(this.#durableLsn, durable),
      receivedLsn: received,
      serverFlushLsn: this.#serverFlushLsn,
      knownUntil: this.#known?.until ?? null,
    };
  }

  /** The stream told the server's time and how far its WAL is. */
  heard(at: Timestamp, serverEndLsn: bigint): void {
    this.#serverTime = at;
    this.#serverFlushLsn = maxLsn(this.#serverFlushLsn, serverEndLsn);
  }

  /** The server's WAL was flushed up to `mark.lsn` at `mark.at`, and no further. */
  marked(mark: FlushMark): void {
    this.#serverFlushLsn = maxLsn(this.#serverFlushLsn, mark.lsn);
    if (this.#marks.length < MARKS_MAX) this.#marks.push(mark);
    this.#settle();
  }

  /** WAL is durable up to `lsn`. */
  stored(lsn: bigint): void {
    this.#durableLsn = lsn;
    this.#settle();
  }

  /** The positions of another history say nothing about this one. */
  forgetPositions(): void {
    this.#durableLsn = 0n;
    this.#serverFlushLsn = 0n;
    this.#marks = [];
    this.#known = null;
  }

  #settle(): void {
    while (this.#marks[0] !== undefined && this.#marks[0].lsn <= this.#durableLsn) {
      const mark = this.#marks.shift()!;
      this.#known = { until: mark.at, lsn: mark.lsn };
    }
  }
}
