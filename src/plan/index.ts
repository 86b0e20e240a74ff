/**
 * The user's plan: what is protected, where it is kept, and how.
 *
 * Nouns: an *option* is one value that a plan may state; the *schema* declares each once, with type, range, default and help;
 * a *reference* (`{ env }`, `{ file }`, `{ command }`) says where a secret lies; a *resolved plan* is what flags, environment,
 * plan and defaults come to, checked and complete.
 *
 * It does not connect to anything and does not judge whether a plan is wise.
 */
export { definePlan } from './define-plan.ts';
export { type LoadOptions, loadPlan, type PlanNeeds } from './load-plan.ts';
export { listAllOptions, listOptions, type Machine, type Option, type OptionFacts } from './option.ts';
export { PRIMARY } from './places-schema.ts';
export { PlanError, type PlanProblem } from './plan-error.ts';
export type { Reference } from './reference.ts';
export type { PlaceCredentials, PlanCredential, ResolvedCopy, ResolvedPlace, ResolvedPlan } from './resolved-plan.ts';
export { type Plan, planSchema } from './schema.ts';
export type { Flags } from './sources.ts';
