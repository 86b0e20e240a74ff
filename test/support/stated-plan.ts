import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { loadPlan, type ResolvedPlan } from '../../src/plan/index.ts';

/** The least that a plan says, with nothing in it that anybody could object to, but for what it leaves out. */
export const leastPlan = {
  clusters: [{ name: 'shop' }],
  repository: { primary: '/backups/shop' },
};

/** A plan as its file would state it, read from a file in this directory. Nothing of it is followed. */
export async function readStatedPlan(
  directory: string,
  document: object,
  environment: Readonly<Record<string, string>> = {},
): Promise<ResolvedPlan> {
  const planFile = join(directory, 'holdfast.config.json');
  await writeFile(planFile, JSON.stringify({ ...leastPlan, ...document }, null, 2));
  return await loadPlanFile(planFile, environment);
}

/** Any plan that stands in a file, of which nothing is followed either. */
export function loadPlanFile(
  planFile: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<ResolvedPlan> {
  const machine = { cores: 1, homeDirectory: '/home/ann', isRoot: false, environment };
  const libraryUrl = new URL('../../src/plan/define-plan.ts', import.meta.url).href;
  return loadPlan({ planFile, directory: dirname(planFile), flags: {}, libraryUrl, machine, needs: {} });
}
