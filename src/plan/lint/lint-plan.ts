import { acceptanceRules, findUnusedAcceptances, whoAccepts } from './acceptance.ts';
import type { Finding, LintedPlan, Rule } from './finding.ts';
import { locate } from './locate.ts';
import { rules } from './rules/index.ts';

/** What a plan alone does not tell. */
export interface LintFacts {
  /** The day on which it is judged, as in `2026-11-23`: risks are accepted until one. */
  readonly today: string;
}

const weights = { error: 0, warning: 1, note: 2 } as const;

/** All that contradicts itself, is missing or cannot hold in a plan: errors first, and in the order of the rules then. Pure. */
export function lintPlan(plan: LintedPlan, facts: LintFacts): Finding[] {
  const found = rules.flatMap((rule) => applyRule(rule, plan, facts));
  const findings = [...found, ...findUnusedAcceptances(plan, facts, found)];
  return findings.sort((a, b) => weights[a.severity] - weights[b.severity]);
}

function applyRule(rule: Rule, plan: LintedPlan, facts: LintFacts): Finding[] {
  const { id, severity, why, settle } = rule;
  return rule.find(plan).map(({ at, says }) => {
    const places = at.map((option) => locate(plan, option));
    return { ...{ id, severity, says, why, settle, places }, accepted: whoAccepts(plan, facts, id, places) };
  });
}

/** Every kind of finding there is, for the page that tells of them. */
export function listFindingKinds(): Omit<Rule, 'find'>[] {
  return [...rules.map(({ find: _, ...kind }) => kind), ...Object.values(acceptanceRules)];
}
