import { readFile } from 'node:fs/promises';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { HoldfastError, messageOf } from '../lib/index.ts';
import { findLines, type PlanLines } from './find-lines.ts';

/**
 * Reads a plan's file and gives what it exports, unchecked.
 *
 * `libraryUrl` is the module that `import … from 'holdfast'` gives inside the plan: the running one, so that a plan needs no
 * installation beside it and never meets a second version.
 * Errors: PLAN_UNREADABLE.
 */
export async function readPlanFile(path: string, libraryUrl: string): Promise<unknown> {
  try {
    if (path.endsWith('.json')) return JSON.parse(await readFile(path, 'utf8')) as unknown;
    return await importPlan(pathToFileURL(path).href, libraryUrl);
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw new HoldfastError('PLAN_UNREADABLE', `cannot read the plan "${path}"`, {
      detail: `${firstLine(messageOf(error))}${placeOf(error, path)}.`,
      hints: ['A plan is a module whose default export is definePlan({ … }), or a JSON file with the same object.'],
      cause: error,
    });
  }
}

/** On which lines of its file a plan says what. It was read before, so that it is there. */
export async function readPlanLines(path: string): Promise<PlanLines> {
  return findLines(await readFile(path, 'utf8'), path.endsWith('.json') ? 'json' : 'module');
}

async function importPlan(url: string, libraryUrl: string): Promise<unknown> {
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'holdfast' ? { url: libraryUrl, shortCircuit: true } : next(specifier, context),
    // Without a package.json beside it Node would guess the kind of module, and say so on standard error.
    load: (loaded, context, next) =>
      loaded === url && (context.format === undefined || context.format === null)
        ? next(loaded, { ...context, format: url.endsWith('.ts') ? 'module-typescript' : 'module' })
        : next(loaded, context),
  });
  try {
    const module = (await import(url)) as { default?: unknown };
    if (module.default === undefined) throw new Error('it has no default export');
    return module.default;
  } finally {
    hooks.deregister();
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]!.replace(/\.$/, '');
}

/** The line of the plan that an error points at, when it does. */
function placeOf(error: unknown, path: string): string {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const at = stack.indexOf(path);
  const line = at < 0 ? null : /^:(\d+)/.exec(stack.slice(at + path.length));
  return line === null ? '' : ` (line ${line[1]})`;
}
