import type { StatedOption } from './stated.ts';

/** One option that two plans do not have alike. */
export interface PlanDifference {
  /** With the names of what stands in lists, as in `functions.registry-access.rto`. */
  readonly path: string;
  /** `null` where it is nowhere said, and has no default. */
  readonly before: StatedOption | null;
  readonly after: StatedOption | null;
}

/**
 * What two plans say differently, in the order of the paths. What means the same is no difference (`60m` and `1h`, a default that is written down), nor is the order
 * of things with names.
 */
export function compareStated(before: readonly StatedOption[], after: readonly StatedOption[]): PlanDifference[] {
  const [old, now] = [before, after].map((all) => new Map(all.map((stated) => [stated.path, stated]))) as [
    Map<string, StatedOption>,
    Map<string, StatedOption>,
  ];
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((path) => ({ path, before: old.get(path) ?? null, after: now.get(path) ?? null }))
    .filter((each) => differs(each))
    .sort((a, b) => inOrder.compare(a.path, b.path));
}

/** `steps[2]` before `steps[10]`, in every language. */
const inOrder = new Intl.Collator('en', { numeric: true });

/** A default inside of something that only one plan has is no news beside that. */
function differs({ before, after }: PlanDifference): boolean {
  if (before === null || after === null) return (before ?? after)?.origin !== null;
  return before.meaning !== after.meaning;
}
