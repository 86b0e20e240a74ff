import { dirname } from 'node:path';
import type { Option, OptionGroup } from './option.ts';
import type { PlanProblem } from './plan-error.ts';

/** How much a source counts, the first most; a default counts last of all. */
const sourceKinds = ['flag', 'environment', 'plan'] as const;
type SourceKind = (typeof sourceKinds)[number];

/** One value of an option, as somebody gave it. */
export interface Given {
  readonly kind: SourceKind;
  readonly value: unknown;
  /** For people: `--cluster`, `HOLDFAST_CLUSTER`, `/etc/shop/holdfast.config.ts`. */
  readonly origin: string;
  /** What relative paths in it start from. */
  readonly directory: string;
}

/** What there is to read from. */
export interface Inputs {
  /** The plan's file and what it exports; `null` without one. */
  readonly plan: { readonly file: string; readonly document: unknown } | null;
  /** By dotted path of the option, as texts. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The working directory. */
  readonly directory: string;
}

/** Every value given for each option, the one that counts first. */
export function collectGiven(
  options: readonly Option[],
  inputs: Inputs,
  problems: PlanProblem[],
): Map<string, Given[]> {
  const given = new Map<string, Given[]>();
  for (const option of options) {
    given.set(option.path, [
      ...fromFlags(option, inputs),
      ...fromEnvironment(option, inputs, problems),
      ...fromPlan(option, inputs),
    ]);
  }
  return given;
}

function fromFlags(option: Option, inputs: Inputs): Given[] {
  const text = inputs.flags[option.path];
  if (text === undefined) return [];
  const value = option.facts.fromText?.(text) ?? text;
  return [{ kind: 'flag', value, origin: nameOfFlag(option), directory: inputs.directory }];
}

/** The flag without its argument: `--cluster`. */
export function nameOfFlag(option: Option): string {
  return option.facts.flag?.split(' ')[0] ?? option.path;
}

function fromEnvironment(option: Option, inputs: Inputs, problems: PlanProblem[]): Given[] {
  const given = (option.facts.environment ?? []).flatMap(({ name, as }): Given[] => {
    const text = inputs.environment[name];
    // An empty variable is how shells and compose files write "not set".
    if (text === undefined || text === '') return [];
    const value = { value: text, file: { file: text }, reference: { env: name } }[as];
    return [{ kind: 'environment', value, origin: `environment variable ${name}`, directory: inputs.directory }];
  });
  if (given.length > 1) {
    const names = (option.facts.environment ?? []).map(({ name }) => name).join(' and ');
    problems.push({
      option: option.path,
      value: null,
      sentence: `Expected one of ${names}, found both.`,
      origin: null,
    });
  }
  return given.slice(0, 1);
}

function fromPlan(option: Option, inputs: Inputs): Given[] {
  if (inputs.plan === null) return [];
  let value: unknown = inputs.plan.document;
  for (const key of option.path.split('.')) {
    if (!isGroup(value)) return [];
    value = value[key];
  }
  if (value === undefined) return [];
  return [{ kind: 'plan', value, origin: inputs.plan.file, directory: dirname(inputs.plan.file) }];
}

/** What stands in a plan although no option has that name, and groups that are something else. */
export function findMisplaced(groups: readonly OptionGroup[], plan: Inputs['plan']): PlanProblem[] {
  if (plan === null) return [];
  return groups.flatMap((group): PlanProblem[] => {
    const found = group.path === '' ? plan.document : valueAt(plan.document, group.path);
    if (found === undefined) return [];
    const names = group.keys.join(', ');
    if (!isGroup(found)) {
      const sentence = `Expected an object with the options ${names}.`;
      return [{ option: group.path || 'the plan', value: null, sentence, origin: plan.file }];
    }
    return Object.keys(found)
      .filter((key) => !group.keys.includes(key))
      .map((key) => {
        const near = nearest(key, group.keys);
        const advice = near === null ? `Expected one of ${names}.` : `Did you mean "${near}"?`;
        const option = group.path === '' ? key : `${group.path}.${key}`;
        return { option, value: null, sentence: `Unrecognized option. ${advice}`, origin: plan.file };
      });
  });
}

function valueAt(document: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (isGroup(value) ? value[key] : undefined), document);
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The name that differs by the fewest edits, when these are few enough to be a slip of the fingers. */
function nearest(name: string, candidates: readonly string[]): string | null {
  const editsMax = 2;
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: countEdits(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  const [best] = ranked;
  return best !== undefined && best.edits <= editsMax ? best.candidate : null;
}

/** Levenshtein distance. */
function countEdits(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
