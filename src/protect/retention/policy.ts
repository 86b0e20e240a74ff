import { assert } from '../../lib/index.ts';
import { findRefusalReasons } from './anomalies.ts';
import { Calendar } from './calendar.ts';
import type { Decision, ForgottenSnapshot, KeepReason, KeptSnapshot, Refusal, WalNeed } from './decision.ts';
import type { PolicyInput } from './facts.ts';
import { type JudgedSnapshot, judgeSnapshots } from './judged-snapshot.ts';
import { holdsOf, keepByRules } from './keep-by-rules.ts';
import { CALENDAR_RULES, type RetentionRules } from './rules.ts';
import { sentenceOfKept, whyForgotten } from './sentences.ts';
import { joinNeeds, keepWalWindow, needAll, type WalWindow } from './wal-window.ts';

/**
 * Decides what is kept of one cluster and what may go, with a sentence for every snapshot. Touches nothing; the same facts in any order give the same decision.
 *
 * Asserts that the rules are counts and times. Errors: `TIME_ZONE_UNRECOGNIZED`.
 */
export function applyPolicy(input: PolicyInput): Decision {
  checkRules(input.rules);
  const judged = judgeSnapshots(input);
  const { keeps, representatives } = keepByRules(input, judged);
  const window = keepWalWindow(input, judged);
  const reasons = Map.groupBy([...keeps, ...window.keeps], ({ snapshot }) => snapshot);
  const refused = findRefusalReasons(input, judged);
  const refusal: Refusal | null = refused.length === 0 ? null : { reasons: refused };
  const calendar = Calendar.of(input.rules.timeZone);
  const whyNot = (snapshot: JudgedSnapshot) =>
    whyForgotten(snapshot, input.rules, representatives, {
      now: input.now,
      bucketOf: (rule) => calendar.bucketOf(rule, snapshot.time),
    });
  const keep: KeptSnapshot[] = [];
  const forget: ForgottenSnapshot[] = [];
  for (const snapshot of judged) {
    const why = reasons.get(snapshot)?.map(({ reason }) => reason);
    if (why !== undefined) keep.push(keepFor(snapshot, why));
    else if (refusal !== null) keep.push(keepFor(snapshot, [{ kind: 'refused', instead: whyNot(snapshot) }]));
    else forget.push({ snapshot: snapshot.facts, reason: `Goes, as ${whyNot(snapshot)}.` });
  }
  const { cluster, now } = input;
  const wal = joinNeeds(findNeeds(input, keep, window, refusal));
  return { cluster, now, keep, forget, wal, reachableSince: window.reachableSince, refusal };
}

/** Asserts that the rules are counts and times, and that at least one keeps something. */
export function checkRules(rules: RetentionRules): void {
  const counts = [...CALENDAR_RULES.map((rule) => rules[rule]), rules.keepAtLeast];
  assert(
    counts.every((count) => Number.isSafeInteger(count) && count >= 0),
    'retention counts in whole numbers',
  );
  const times = [rules.keepWithin, rules.wal].filter((time) => time !== null);
  assert(
    times.every((time) => Number.isFinite(time) && time >= 0),
    'retention lasts for a time',
  );
  const keepsSomething = rules.keepWithin !== null || rules.keepTags.length > 0 || counts.some((count) => count > 0);
  assert(keepsSomething, 'a rule of retention keeps something');
}

function keepFor({ facts }: JudgedSnapshot, reasons: readonly KeepReason[]): KeptSnapshot {
  return { snapshot: facts, reasons, sentence: sentenceOfKept(reasons) };
}

/** The WAL of the window and of each snapshot that stays; of every lineage all of it while nothing is forgotten, or while a hold keeps the cluster. */
function findNeeds(
  input: PolicyInput,
  keep: readonly KeptSnapshot[],
  window: WalWindow,
  refusal: Refusal | null,
): WalNeed[] {
  const ofSnapshots = keep.map(({ snapshot: { wal } }): WalNeed => {
    const { system, lineage, start: from, end: to } = wal;
    return {
      system,
      lineage,
      from,
      to,
      reasons: ['Snapshots that stay cannot be restored without the WAL of their ranges.'],
    };
  });
  const whole = [
    ...(refusal === null ? [] : ['Nothing is forgotten now.']),
    ...holdsOf(input.holds, input.cluster, input.now)
      .filter(({ scope }) => scope.kind !== 'snapshots')
      .map(({ who, why }) => `Held by ${who} (${why}).`),
  ];
  const all = whole.flatMap((reason) => input.lineages.map((lineage) => needAll(lineage, reason)));
  return [...all, ...window.needs, ...ofSnapshots];
}
