/**
 * The user's plan: what is protected, where it is kept, and how.
 *
 * Nouns: an *option* is one value that a plan may state; the *schema* declares each once, with type, range, default and help;
 * a *reference* (`{ env }`, `{ file }`, `{ command }`) says where a secret lies; a *resolved plan* is what flags, environment,
 * plan and defaults come to, checked and complete.
 *
 * It does not connect to anything and does not judge whether a plan is wise.
 */
export { compareStated, type PlanDifference } from './compare-stated.ts';
export { definePlan } from './define-plan.ts';
export { lineOf } from './find-lines.ts';
export { planJsonSchema } from './json-schema.ts';
export {
  type Acceptance,
  type Finding,
  type FindingPlace,
  type LintFacts,
  lintPlan,
  listFindingKinds,
  type Severity,
} from './lint/index.ts';
export { type LoadOptions, loadPlan, type PlanNeeds } from './load-plan.ts';
export { type CarriedOut, listAllOptions, listOptions, type Machine, type Option, type OptionFacts } from './option.ts';
export { PlanError, type PlanProblem } from './plan-error.ts';
export type { Reference } from './reference.ts';
export type {
  PlaceCredentials,
  PlanCredential,
  PlanParts,
  ResolvedCopy,
  ResolvedPlace,
  ResolvedPlan,
  RetentionRules,
} from './resolved-plan.ts';
export { longestGapMs, parseSchedule, type Schedule } from './schedule.ts';
export { chosenSchema, databaseProviders, type Plan, PRIMARY, planSchema, recoveryMethods } from './schema/index.ts';
export type { Flags } from './sources.ts';
export type { StatedOption } from './stated.ts';
