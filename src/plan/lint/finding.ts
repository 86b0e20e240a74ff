import type { ResolvedPlan } from '../resolved-plan.ts';

/** How much a finding weighs. Only errors make a plan fail; a note is about the program or about what is deliberate. */
export type Severity = 'error' | 'warning' | 'note';

/** Something of a plan that another part of it contradicts, that is missing, or that cannot hold. */
export interface Finding {
  /** Stays the same from version to version: accepted risks name it. */
  readonly id: string;
  readonly severity: Severity;
  /** What it is about: where two places disagree, both. */
  readonly places: readonly FindingPlace[];
  /** What the plan says, as one whole sentence with its numbers. */
  readonly says: string;
  /** Why it matters. */
  readonly why: string;
  /** What would settle it. */
  readonly settle: string;
  /** Who answers for it; `null` when nobody does, or no longer. Such a finding is told, and counts for nothing. */
  readonly accepted: Acceptance | null;
}

export interface FindingPlace {
  /** As in `functions[0].rto`. */
  readonly option: string;
  /** The same with the names of what stands in lists, as in `functions.pay.rto`: accepted risks say this. */
  readonly path: string;
  /** `null` for what stands in no file. */
  readonly file: string | null;
  /** That of the option, or of the nearest one around it; `null` when it is not known. */
  readonly line: number | null;
}

export interface Acceptance {
  readonly who: string;
  readonly why: string;
  /** The last day on which it holds, as in `2027-03-31`. */
  readonly until: string;
}

/** What rules read: all that a plan says, with nothing of it followed. */
export type LintedPlan = Omit<ResolvedPlan, 'cluster' | 'repository'>;

/** One thing that is looked for in every plan. */
export interface Rule {
  readonly id: string;
  readonly severity: Severity;
  /** What such a finding means, as one whole sentence for the page of findings. */
  readonly means: string;
  readonly why: string;
  readonly settle: string;
  find(plan: LintedPlan): Occurrence[];
}

/** One place, or several that disagree, of which a rule speaks. */
export interface Occurrence {
  readonly at: readonly string[];
  readonly says: string;
}
