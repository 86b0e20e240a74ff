/** What one place of a repository had when it was looked at: plain data, from which a proposal is made. Times are the store's, in milliseconds since 1970; sizes in bytes. */
export interface PruneFacts {
  /** Which repository, and which place of it. */
  readonly repositoryId: string;
  readonly place: string;
  readonly takenAt: number;
  readonly tombstones: readonly TombstoneFacts[];
  /** Without the pruner's own. */
  readonly leases: readonly LeaseFacts[];
  readonly pending: readonly PendingFacts[];
  readonly withdrawn: readonly { readonly id: string; readonly storedAt: number }[];
  /** Snapshots whose trees were walked, pending ones among them. */
  readonly roots: number;
  /** Ids of committed snapshots that are to be forgotten, and are no roots. */
  readonly forget: readonly string[];
  /** Snapshots that were to be forgotten, and some of whose chunks are in announced packs alone: those are stored again first. */
  readonly deferred: readonly string[];
  readonly packs: readonly PackFacts[];
  readonly indexObjects: readonly IndexObjectFacts[];
  /** Names under `damage/` that are about a pack, by its id. */
  readonly damage: ReadonlyMap<string, readonly string[]>;
  /** Pending snapshots that cannot be read: what they need is not known, so nothing is deleted before they are withdrawn or gone. */
  readonly unreadablePending: readonly string[];
  /** Chunks of roots that are known to be lost. */
  readonly lostChunks: number;
}

export interface TombstoneFacts {
  readonly name: string;
  readonly storedAt: number;
  readonly packs: readonly string[];
  readonly index: readonly string[];
}

export interface LeaseFacts {
  readonly name: string;
  readonly purpose: string;
  readonly began: number;
  readonly storedAt: number;
  readonly isAlive: boolean;
}

export interface PendingFacts {
  readonly id: string;
  readonly storedAt: number;
  /** `spared`: open, and somebody may still come back for it without a lease. */
  readonly state: 'open' | 'spared' | 'committed' | 'withdrawn';
}

/** A pack that is in the store, or that an index object names. */
export interface PackFacts {
  readonly id: string;
  /** `null` for one that an index object names and that is not there. */
  readonly stored: { readonly bytes: number; readonly storedAt: number } | null;
  readonly isIndexed: boolean;
  /** When the first tombstone that names it was put; `null` for one that is not announced. */
  readonly announcedAt: number | null;
  readonly isDamaged: boolean;
  /** The bytes of the frames of all its chunks, as the index says; 0 for one that no index object names. */
  readonly chunkBytes: number;
  /** Live chunks that have to be read from this pack, as no better one has them, and the bytes of their frames. */
  readonly liveChunks: number;
  readonly liveBytes: number;
  /** Live chunks of it that another pack has as well, and that are read from there. */
  readonly sharedChunks: number;
  /** Those of them of which no pack that may be counted on has a copy yet. */
  readonly leaningChunks: number;
}

export interface IndexObjectFacts {
  readonly name: string;
  readonly chunks: number;
  readonly packs: readonly string[];
}
