import { dirname } from 'node:path';
import type { Option, OptionGroup } from './option.ts';
import { type PlanProblem, quoteValue } from './plan-error.ts';
import { isReference } from './reference.ts';

/** How much a source counts, the first most; a default counts last of all. */
const sourceKinds = ['flag', 'environment', 'plan'] as const;
type SourceKind = (typeof sourceKinds)[number];

/** One value of an option, as somebody gave it. */
export interface Given {
  readonly kind: SourceKind;
  /** The option as it was written: `repository.primary` when that stands for its location. */
  readonly at: string;
  readonly value: unknown;
  /** For people: `--cluster`, `HOLDFAST_CLUSTER`, `/etc/shop/holdfast.config.ts`. */
  readonly origin: string;
  /** What relative paths in it start from. */
  readonly directory: string;
}

/** Values of flags by dotted path of the option, as texts; several for a list. */
export type Flags = Readonly<Record<string, string | readonly string[]>>;

/** What there is to read from. */
export interface Inputs {
  /** The plan's file and what it exports; `null` without one. */
  readonly plan: { readonly file: string; readonly document: unknown } | null;
  readonly flags: Flags;
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
  const given = inputs.flags[option.path];
  if (given === undefined) return [];
  const value = typeof given === 'string' ? fromText(option, given) : given.map((text) => fromText(option, text));
  return [{ kind: 'flag', at: option.path, value, origin: nameOfFlag(option), directory: inputs.directory }];
}

function fromText({ facts }: Option, text: string): unknown {
  return facts.fromText === undefined ? text : facts.fromText(text);
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
    const words = () => text.split(/\s+/).filter(Boolean);
    const value = {
      value: () => text,
      file: () => ({ file: text }),
      reference: () => ({ env: name }),
      words: () => words().map((word) => fromText(option, word)),
    }[as]();
    const origin = `environment variable ${name}`;
    return [{ kind: 'environment', at: option.path, value, origin, directory: inputs.directory }];
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
  // What has another form in a plan is read where it stands.
  if (inputs.plan === null || option.facts.inPlan !== undefined) return [];
  const { document, file } = inputs.plan;
  const source = { kind: 'plan', origin: file, directory: dirname(file) } as const;
  const { shorthandOf } = option;
  const whole = shorthandOf === null ? undefined : valueAt(document, shorthandOf);
  if (shorthandOf !== null && isShorthand(whole)) return [{ ...source, at: shorthandOf, value: whole }];
  const value = valueAt(document, option.path);
  return value === undefined ? [] : [{ ...source, at: option.path, value }];
}

/** Whether what stands where a group may be is the value of one of its options alone. */
function isShorthand(value: unknown): boolean {
  return value !== undefined && (!isGroup(value) || isReference(value));
}

/** What stands in a plan although no option has that name, and groups that are something else. */
export function findMisplaced(groups: readonly OptionGroup[], plan: Inputs['plan']): PlanProblem[] {
  if (plan === null) return [];
  return groups.flatMap((group): PlanProblem[] => {
    const found = valueAt(plan.document, group.path);
    if (found === undefined || (group.facts.shorthand !== undefined && isShorthand(found))) return [];
    if (!isGroup(found)) {
      const sentence = `Expected an object with the options ${group.keys.join(', ')}.`;
      return [{ option: group.path || 'the plan', value: null, sentence, origin: plan.file }];
    }
    return findUnrecognized(found, group, plan.file);
  });
}

/** The names in a group that are no options, each with what was probably meant. */
export function findUnrecognized(
  found: Readonly<Record<string, unknown>>,
  { path, keys, facts }: OptionGroup,
  origin: string,
): PlanProblem[] {
  return Object.keys(found)
    .filter((key) => !keys.includes(key))
    .map((key) => {
      const option = path === '' ? key : `${path}.${key}`;
      // Its own only: a plan may say "constructor", which every object has.
      const renamed = Object.entries(facts.renamed ?? {}).find(([before]) => before === key)?.[1];
      if (renamed !== undefined) {
        const value = quoteValue(found[key]) ?? '…';
        const { to, before = value, now = value } = renamed;
        const sentence = `It is called "${to}" now. Write ${to}: ${now} instead of ${key}: ${before}.`;
        return { option, value: null, sentence, origin };
      }
      const near = nearest(key, keys);
      const advice = near === null ? `Expected one of ${keys.join(', ')}.` : `Did you mean "${near}"?`;
      return { option, value: null, sentence: `Unrecognized option. ${advice}`, origin };
    });
}

/** What stands at a dotted path; the whole document at an empty one. */
function valueAt(document: unknown, path: string): unknown {
  if (path === '') return document;
  return path.split('.').reduce<unknown>((value, key) => (isGroup(value) ? value[key] : undefined), document);
}

export function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The name that differs by the fewest edits, when these are few enough to be a slip of the fingers. */
export function nearest(name: string, candidates: readonly string[]): string | null {
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
