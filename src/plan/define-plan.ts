import type { Plan } from './schema/index.ts';

/**
 * Marks an object as a plan, so that an editor completes and checks it while it is written.
 * Nothing is checked here: the loader reports all problems at once, with the place where each value was read.
 */
export function definePlan(plan: Plan): Plan {
  return plan;
}
