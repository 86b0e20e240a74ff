import { HoldfastError } from '../lib/index.ts';
import type { ResolvedPlan } from '../plan/index.ts';

/** The file of the plan, for a command that is about it. Errors: PLAN_NOT_FOUND. */
export function requirePlanFile({ file }: ResolvedPlan): string {
  if (file !== null) return file;
  throw new HoldfastError('PLAN_NOT_FOUND', 'cannot find a plan', {
    detail: 'Expected a file holdfast.config.ts, .js or .json in the working directory, found none.',
    hints: ['Name another file with --plan, or go to the folder of the plan.'],
  });
}
