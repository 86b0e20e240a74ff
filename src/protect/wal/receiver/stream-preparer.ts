import { FollowedLineage } from '../followed-lineage.ts';
import type { Announcer } from './announcer.ts';
import type { Companions } from './companions.ts';
import type { Fork } from './fork-search.ts';
import { findOtherSystem } from './lineage-keeper.ts';
import { boundAnswer, type Link } from './link.ts';
import type { WalReceiverOptions } from './options.ts';
import type { OutageKeeper, ReceiverView } from './outage-keeper.ts';
import type { Persistence } from './persistence.ts';
import { prepareInOutage } from './prepare-in-outage.ts';
import { type PreparedStream, type PrepareOptions, prepareStream } from './prepare-stream.ts';
import type { SlotKeeper, TakenSlot } from './slot-keeper.ts';

/** What the connections of before have found out. */
export interface FoundBefore {
  /** The lineage that is tried first: the one that was followed, or that was begun for this server. */
  readonly preferred: string | null;
  /** Lineages that are not the server's. */
  readonly left: ReadonlyMap<string, Fork>;
  /** The server has no WAL from where it was asked for. */
  readonly isStartGone: boolean;
}

interface Parts {
  /** The receiver's own id, to be told from others that write into the same lineage. */
  readonly receiver: string;
  readonly slots: SlotKeeper;
  readonly outage: OutageKeeper;
  readonly persistence: Persistence;
  readonly companions: Companions;
  readonly announcer: Announcer;
  readonly signal: AbortSignal;
}

/** Finds out before each stream by what it goes: the slot, the primary or what stands in for it, the lineage, and where to go on in that. */
export class StreamPreparer {
  readonly #options: WalReceiverOptions;
  readonly #parts: Parts;
  #view: ReceiverView;

  constructor(options: WalReceiverOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    this.#view = { repository: options.repository, isStandIn: false, over: new Promise(() => {}) };
  }

  /** What is gone by from when a stream is prepared until the next one is. */
  get view(): ReceiverView {
    return this.#view;
  }

  /** Finds or makes the slot; from `keptFrom` on the server keeps WAL. Errors: those of the server. */
  async takeSlot(link: Link): Promise<TakenSlot & { readonly keptFrom: bigint }> {
    const slot = await boundAnswer(link, this.#options.clock, this.#parts.slots.take(link));
    return { ...slot, keptFrom: slot.keptFrom ?? link.identity.flushLsn };
  }

  /** `slot`: its name, `null` when the server had none to give to a temporary receiver. Errors: those of `prepareStream` and `prepareInOutage`. */
  async prepare(link: Link, found: FoundBefore): Promise<PreparedStream & { readonly slot: string | null }> {
    const { cluster, clock, temporary = false, standsIn = false, startLsn } = this.#options;
    const { receiver, outage, persistence, companions, announcer, signal } = this.#parts;
    const { keptFrom, name: slot, lostBefore } = await this.takeSlot(link);
    if (lostBefore !== null) announcer.alarm({ alarm: 'slot', error: lostBefore });
    const view = await persistence.run(() => outage.look());
    this.#view = standsIn ? { ...view, isStandIn: true } : view;
    if (!this.#view.isStandIn) await companions.lookAtKeys();
    const prepared = await this.#prepareBy({
      ...{ repository: this.#view.repository, cluster, clock, link, keptFrom, persistence, receiver, signal, ...found },
      wantedFrom: startLsn ?? (temporary ? keptFrom : null),
      onInventory: (inventory) => announcer.damage(inventory),
    });
    return { ...prepared, slot };
  }

  /** A lineage was begun: tells when the cluster has WAL of another system as well. */
  async warnOfOtherSystem({ identity }: Link): Promise<void> {
    const { repository, cluster } = this.#options;
    const { persistence, announcer } = this.#parts;
    const error = await persistence.run(() => findOtherSystem(repository, cluster, identity.systemId));
    if (error !== null) announcer.alarm({ alarm: 'other-system', error });
  }

  /** The server's WAL equals what is stored of a lineage: the next one may go by that while the primary is away. */
  async noteFollowed(link: Link, lineage: string): Promise<void> {
    const { temporary = false, outage } = this.#options;
    if (!temporary && !this.#view.isStandIn && outage !== undefined) await this.#followed(link).note(lineage);
  }

  /** What the primary has is not seen while it is away: then what cannot be proved waits for it. */
  async #prepareBy(options: PrepareOptions): Promise<PreparedStream> {
    if (!this.#view.isStandIn) return prepareStream(options);
    const { lineage, plan } = await prepareInOutage(options, {
      followed: await this.#followed(options.link).read(),
      mayLeaveGap: this.#options.standsIn === true,
    });
    return { kind: 'ready', lineage, plan, created: false };
  }

  /** The note of the lineage that was followed from this machine while the primary answered. */
  #followed({ identity }: Link): FollowedLineage {
    const { stateDirectory, repository, cluster } = this.#options;
    return new FollowedLineage(stateDirectory, repository.id, { system: identity.systemId, cluster });
  }
}
