import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HoldfastError } from '../lib/index.ts';

/** The names under which a plan is looked for in the working directory. */
const planFileNames = ['holdfast.config.ts', 'holdfast.config.js', 'holdfast.config.json'] as const;

/** Other names that look like a plan's: better refused than overlooked. */
const unreadableFileNames = ['holdfast.config.yaml', 'holdfast.config.yml'] as const;

/**
 * The plan's file: the one named, else the one in `directory`, else `null`.
 * Errors: PLAN_NOT_FOUND for one that was named; PLAN_AMBIGUOUS; PLAN_FORMAT_UNSUPPORTED.
 */
export async function findPlanFile(named: string | undefined, directory: string): Promise<string | null> {
  if (named !== undefined) return await findNamedPlan(resolve(directory, named));
  const found: string[] = [];
  for (const name of [...planFileNames, ...unreadableFileNames]) {
    if (await isFile(join(directory, name))) found.push(name);
  }
  if (found.length > 1) {
    throw new HoldfastError('PLAN_AMBIGUOUS', `more than one plan in "${directory}"`, {
      detail: `Expected one of them, found ${found.join(', ')}.`,
      hints: ['Name the one that counts with --plan, or remove the others.'],
    });
  }
  const [name] = found;
  if (name === undefined) return null;
  refuseUnreadable(join(directory, name));
  return join(directory, name);
}

async function findNamedPlan(path: string): Promise<string> {
  if (!(await isFile(path))) {
    throw new HoldfastError('PLAN_NOT_FOUND', `no plan at "${path}"`, {
      detail: 'Expected a file with a plan, found none.',
      hints: ['Check the name that was given with --plan.'],
    });
  }
  refuseUnreadable(path);
  return path;
}

function refuseUnreadable(path: string): void {
  if (/\.(ts|js|mjs|json)$/.test(path)) return;
  throw new HoldfastError('PLAN_FORMAT_UNSUPPORTED', `cannot read the plan "${path}": its form is not supported`, {
    detail: 'Expected a file whose name ends in .ts, .js, .mjs or .json.',
    hints: ['Write the plan as holdfast.config.ts, or as JSON.'],
  });
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw new HoldfastError('PLAN_UNREADABLE', `could not look for a plan at "${path}": ${code}`, { cause: error });
  }
}
