/** How the store kept its promises to an object that was made to try them. */
export interface ProbeFacts {
  /** Whether a second object of the same name was refused and the first one left as it was. */
  readonly keepsFirst: boolean;
  readonly listsAfterWrite: boolean;
  readonly readsBack: boolean;
  readonly deletes: boolean;
  /** What one small object took to become durable, in milliseconds. */
  readonly writeMs: number;
  readonly readMs: number;
}

/** A lease as it stands in the store. Times in milliseconds since 1970. */
export interface LeaseFacts {
  readonly purpose: string;
  readonly host: string;
  readonly pid: number;
  readonly startedAt: number;
  readonly expiresAt: number;
  /** False when its holder was on this host and is gone. */
  readonly mayBeAlive: boolean;
}

/** Where the repository lies and how the place behaves. */
export interface StoreFacts {
  readonly description: string;
  /** `null` for a store that is no directory. */
  readonly directory: string | null;
  /** The store's clock minus ours; `null` when it did not say. */
  readonly offsetMs: number | null;
  readonly probe:
    | { readonly kind: 'done'; readonly facts: ProbeFacts }
    | { readonly kind: 'failed'; readonly code: string; readonly sentence: string };
  /** `null` when the directory cannot be looked at. */
  readonly owner: { readonly mode: number; readonly isOurs: boolean; readonly user: number } | null;
  /** Files in the spool whose writers are gone. */
  readonly leftOvers: readonly string[];
}
