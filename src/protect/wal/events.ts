import type { HoldfastError } from '../../lib/index.ts';
import type { Timestamp } from '../../postgres/index.ts';
import type { SpoolState } from '../../repository/index.ts';
import type { LsnRange } from './lsn-ranges.ts';
import type { LineagePlace } from './object-names.ts';
import type { ReceiverState } from './receiver/state-machine.ts';

/** How far a receiver is, for people and for the live RPO. */
export interface WalProgress {
  readonly place: LineagePlace;
  readonly timeline: number;
  /** The end of the unbroken durable WAL: in the primary, or in a required copy of it. */
  readonly durableLsn: bigint;
  /** The same with what waits on this machine for a primary that is away; equal otherwise. */
  readonly durableHereLsn: bigint;
  /** The end of what has arrived. */
  readonly receivedLsn: bigint;
  /** How far the server's WAL was flushed when it last said so. */
  readonly serverFlushLsn: bigint;
  /**
   * The last moment, by the server's clock, of which it is known that all WAL flushed up to then is durable here; `null` before the first.
   * The live RPO is now minus this.
   */
  readonly knownUntil: Timestamp | null;
  /** Whether commits on the server wait for this receiver; `null` while that is not known. */
  readonly synchronous: boolean | null;
}

/** Something that a person should hear of although the receiver goes on. */
export type WalAlarm =
  /** WAL that nobody has any more: what was between is lost to every restore that has to cross it. */
  | { readonly alarm: 'gap'; readonly gap: LsnRange; readonly error: HoldfastError }
  /** The server's history left the stored one: a new lineage was begun, and needs a base backup. */
  | {
      readonly alarm: 'fork';
      readonly parent: LineagePlace;
      readonly child: LineagePlace;
      readonly error: HoldfastError;
    }
  /** Another cluster answers under the name of this one. */
  | { readonly alarm: 'other-system'; readonly error: HoldfastError }
  /** A stored object is not what was stored. */
  | { readonly alarm: 'damaged'; readonly objectName: string; readonly error: HoldfastError }
  /** A segment did not pass its check, so that its fragments stay. */
  | { readonly alarm: 'segment-not-joined'; readonly segmentName: string; readonly error: HoldfastError }
  /** The store does not take what it should; WAL waits on the server until it does. */
  | { readonly alarm: 'store-away'; readonly error: HoldfastError }
  /** At the present rate the spool, in which WAL waits for a primary that is away, will soon be full. */
  | { readonly alarm: 'spool'; readonly error: HoldfastError }
  /** The slot had been invalidated, or somebody else uses it. */
  | { readonly alarm: 'slot'; readonly error: HoldfastError }
  /** The server keeps more WAL than the plan allows it. */
  | { readonly alarm: 'budget'; readonly error: HoldfastError }
  /** A new epoch was begun that the key in use was not given, or the keys cannot be read any more. */
  | { readonly alarm: 'keys'; readonly error: HoldfastError }
  /** Locks of WAL that is in no whole segment yet cannot be extended: it is kept, and open to whoever can delete. */
  | { readonly alarm: 'locks'; readonly error: HoldfastError }
  /** Commits wait for a receiver that was not asked to be synchronous: `*` in synchronous_standby_names does that. */
  | { readonly alarm: 'synchronous-by-wildcard'; readonly error: HoldfastError };

/** An alarm as far as words go: what stands behind it may be in another process. */
export type ToldAlarm = Pick<WalAlarm, 'alarm' | 'error'>;

/** What a receiver tells while it runs. */
export type WalEvent =
  | { readonly kind: 'state'; readonly state: ReceiverState }
  | { readonly kind: 'lineage'; readonly place: LineagePlace; readonly created: boolean }
  | { readonly kind: 'stream'; readonly timeline: number; readonly start: bigint; readonly storedUntil: bigint }
  /** At each advance of the durable WAL, and about once a second. */
  | { readonly kind: 'progress'; readonly progress: WalProgress }
  /** This flush position was told to the server. */
  | { readonly kind: 'flush-reported'; readonly lsn: bigint }
  | { readonly kind: 'fragment-stored'; readonly timeline: number; readonly range: LsnRange }
  | { readonly kind: 'segment-stored'; readonly segmentName: string }
  /** While WAL waits on this machine for a primary that is away, every few seconds, and once when all is handed over. */
  | { readonly kind: 'spool'; readonly state: SpoolState }
  | { readonly kind: 'timeline-ended'; readonly timeline: number; readonly switchLsn: bigint; readonly next: number }
  | { readonly kind: 'reconnect'; readonly error: HoldfastError; readonly delayMs: number }
  /** What an alarm was about is over. */
  | { readonly kind: 'recovered'; readonly alarm: WalAlarm['alarm'] }
  | ({ readonly kind: 'alarm' } & WalAlarm);
