/**
 * The public library: the same engine functions that the commands call.
 *
 *     import { definePlan, openRepository, openStore, runBackup } from 'holdfast';
 */
export { type Clock, HoldfastError, type Progress, type ProgressUnit, Secret, silentProgress, systemClock } from './lib/index.ts';
export { definePlan, loadPlan, type Plan, PlanError, type ResolvedPlan } from './plan/index.ts';
