import type { Acceptance, Finding, LintedPlan } from './finding.ts';
import type { LintFacts } from './lint-plan.ts';
import { locate } from './locate.ts';

/** Who answers for a finding of a rule at some places; `null` when nobody does, or the day is over until which somebody did. */
export function whoAccepts(
  { acceptedRisks }: LintedPlan,
  { today }: LintFacts,
  id: string,
  places: Finding['places'],
): Acceptance | null {
  const risk = acceptedRisks.find((each) => each.until >= today && isAbout(each, id, places));
  return risk === undefined ? null : { who: risk.who, why: risk.why, until: risk.until };
}

/** What the linter says of accepted risks themselves, for the page of findings. */
export const acceptanceRules = {
  expired: {
    id: 'acceptance-expired',
    severity: 'warning',
    means: 'The day is over until which somebody accepted a finding, so that it counts again.',
    why: 'Somebody answered for it for a time, and that time is over.',
    settle: 'Settle the finding, or let whoever answers for it look at it again and name another day.',
  },
  idle: {
    id: 'acceptance-idle',
    severity: 'warning',
    means: 'A risk is accepted of which there is no finding.',
    why: 'What is accepted without being there hides the next one that is, or names a finding or a place that does not exist.',
    settle:
      'Take it away, or mend the name of the finding or of the option in it: as the linter shows it, with names and not with positions.',
  },
} as const;

/** Accepted risks that count for nothing. */
export function findUnusedAcceptances(plan: LintedPlan, { today }: LintFacts, found: readonly Finding[]): Finding[] {
  return plan.acceptedRisks.flatMap((risk, index) => {
    const own = found.filter(({ id, places }) => isAbout(risk, id, places));
    // What ran out is no news where somebody else, or the same person anew, answers for all of it.
    const isExpired = risk.until < today && own.some(({ accepted }) => accepted === null);
    if (own.length > 0 && !isExpired) return [];
    const { means: _, ...rule } = isExpired ? acceptanceRules.expired : acceptanceRules.idle;
    const where = risk.at === null ? '' : ` at ${risk.at}`;
    const says = isExpired
      ? `${risk.who} accepted ${risk.finding}${where} until ${risk.until}, and that day is over.`
      : `${risk.who} accepts ${risk.finding}${where}, which is not found.`;
    return [{ ...rule, says, places: [locate(plan, `acceptedRisks[${index}]`)], accepted: null }];
  });
}

/** Whether it names a place of the finding, or what that stands in: by names, as a position is another's once something is put before it. */
function isAbout({ finding, at }: LintedPlan['acceptedRisks'][number], id: string, places: Finding['places']): boolean {
  return finding === id && (at === null || places.some(({ path }) => path === at || isInside(path, at)));
}

/** `functions.pay.rto` stands in `functions.pay`, and `functions.payouts` does not. */
function isInside(place: string, at: string): boolean {
  return place.startsWith(`${at}.`) || place.startsWith(`${at}[`);
}
