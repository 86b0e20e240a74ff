import { listFindingKinds } from '../../src/plan/index.ts';

/** What docs/plan-lint.md says of the findings, made from the rules: a section for each; `lint-plan.test.ts` compares. */
export function formatFindingKinds(): string[] {
  return listFindingKinds().flatMap(({ id, severity, means, why, settle }) => [
    ...[`### ${id}`, ''],
    ...[`*${severity}.* ${means} ${why}`, ''],
    ...[`**What to do.** ${settle}`, ''],
  ]);
}
