/**
 * What somebody who stole the credentials of a place would try there, past all that a store does to keep its promises.
 *
 * Whoever runs this harms nothing but the bait that an attempt is given: attempts on the place itself are requests that cannot succeed as they stand, so that
 * only the order of refusals tells whether the right is there.
 */
export interface Intruder {
  readonly attempts: readonly Attempt[];
  /** Takes away what attempts have left on a bait, as far as the rights go. */
  tidy(bait: string): Promise<void>;
  close(): void;
}

/** One thing that is tried. */
export interface Attempt {
  readonly id: AttemptId;
  /** `bait`: on an object that was made for it, whose state afterwards tells what became of it. `place`: being let is what there is to know. */
  readonly on: 'bait' | 'place';
  /** Errors: whatever is neither a refusal nor a success. */
  run(bait: string): Promise<AttemptAnswer>;
}

/** `accepted`: the place would have done it, or did. `inapplicable`: the place has nothing of the kind. */
export type AttemptAnswer = 'denied' | 'accepted' | 'inapplicable';

/** Tries something; what `isDenial` knows is a refusal. Errors: whatever else it ended with. */
export async function attempt(
  run: () => Promise<unknown>,
  isDenial: (error: unknown) => boolean,
): Promise<AttemptAnswer> {
  try {
    await run();
    return 'accepted';
  } catch (error) {
    if (isDenial(error)) return 'denied';
    throw error;
  }
}

export type AttemptId =
  | 'overwrite'
  | 'overwrite-by-copy'
  | 'overwrite-in-parts'
  | 'delete'
  | 'delete-many'
  | 'delete-versions'
  | 'delete-elsewhere'
  | 'shorten-lock'
  | 'weaken-lock'
  | 'lock-for-long'
  | 'hold'
  | 'publish'
  | 'suspend-versions'
  | 'change-policy'
  | 'change-lifecycle'
  | 'change-lock-settings'
  | 'change-access'
  | 'delete-place';
