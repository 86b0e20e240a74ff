import { availableParallelism, homedir } from 'node:os';
import { loadPlan, type Machine, type ResolvedPlan } from '../plan/index.ts';
import type { Surroundings } from './surroundings.ts';

/** What a plan's `import … from 'holdfast'` gives: this very package, from its sources or from what is built of them. */
export const libraryUrl = new URL(import.meta.url.endsWith('.ts') ? '../index.ts' : '../index.js', import.meta.url)
  .href;

/** What defaults of a plan may depend on. */
export function describeMachine(environment: Surroundings['environment']): Machine {
  return {
    cores: availableParallelism(),
    homeDirectory: homedir(),
    isRoot: process.getuid?.() === 0,
    environment,
  };
}

/** What a file says by itself, whatever flags and environment say. Errors: those of `loadPlan`. */
export async function readPlanAlone(planFile: string): Promise<ResolvedPlan> {
  return await loadPlan({
    ...{ planFile, libraryUrl, directory: '/', flags: {}, needs: {} },
    machine: describeMachine({}),
  });
}
