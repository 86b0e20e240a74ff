import type { StoreProbe } from '../../repository/index.ts';

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
  readonly probe:
    | { readonly kind: 'done'; readonly facts: StoreProbe }
    | { readonly kind: 'failed'; readonly code: string; readonly sentence: string };
  /** `null` when the directory cannot be looked at. */
  readonly owner: { readonly mode: number; readonly isOurs: boolean; readonly user: number } | null;
  /** Files in the spool whose writers are gone. */
  readonly leftOvers: readonly string[];
}
