import { fileURLToPath } from 'node:url';
import { type Finding, lintPlan, type ResolvedPlan } from '../../src/plan/index.ts';
import { loadPlanFile } from './stated-plan.ts';

/** A plan of the example, of which nothing is followed. */
export function loadExample(name: 'as-written.config.ts' | 'holdfast.config.ts'): Promise<ResolvedPlan> {
  return loadPlanFile(fileURLToPath(new URL(`../../examples/wishcraft/${name}`, import.meta.url)));
}

/** What the linter says of it. */
export async function lintExample(name: 'as-written.config.ts' | 'holdfast.config.ts'): Promise<Finding[]> {
  return lintPlan(await loadExample(name), { today: '2026-11-23' });
}
