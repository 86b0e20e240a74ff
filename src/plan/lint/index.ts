/**
 * The linter: whether a plan contradicts itself, leaves something out, or promises what its own numbers do not allow.
 *
 * Nouns: a *rule* is one thing that is looked for; a *finding* is one thing that was found, with the places of the plan that it is about; an *accepted risk* is a
 * finding that somebody answers for until a day.
 *
 * It reads the plan and nothing else: no server, no repository, no clock. That a value is of the wrong kind is the schema's to say.
 */
export type { Acceptance, Finding, FindingPlace, LintedPlan, Severity } from './finding.ts';
export { type LintFacts, lintPlan, listFindingKinds } from './lint-plan.ts';
