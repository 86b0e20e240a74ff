import type { HoldfastError } from '../../lib/index.ts';

/** What happens in a store of several places; for people, logs and alarms. Each trouble is told once at its beginning and once at its end. */
export type CopyEvent =
  /** A place does not answer, or refuses. The others are used. */
  | { readonly kind: 'place-away'; readonly place: string; readonly error: HoldfastError }
  | { readonly kind: 'place-back'; readonly place: string }
  /** What a place gave is not what was stored. `healthy`: the place that had it whole, if any. */
  | {
      readonly kind: 'damaged';
      readonly place: string;
      readonly name: string;
      readonly error: HoldfastError;
      readonly healthy: string | null;
    }
  /** A place does not have what another one has. */
  | { readonly kind: 'missing'; readonly place: string; readonly name: string; readonly healthy: string }
  /** A copy has other bytes under the name than the primary; they were left alone. */
  | { readonly kind: 'differs'; readonly place: string; readonly name: string }
  /** An object arrived in a copy. */
  | { readonly kind: 'copied'; readonly place: string; readonly name: string; readonly bytes: number }
  /** A copy was compared with the primary and has all that it has. */
  | { readonly kind: 'in-step'; readonly place: string; readonly objects: number; readonly bytes: number }
  /** A place of another repository: nothing is written there, and nothing read. */
  | { readonly kind: 'foreign'; readonly place: string; readonly error: HoldfastError };

export type CopyEventSink = (event: CopyEvent) => void;
