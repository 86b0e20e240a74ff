import { resolve } from 'node:path';
import type { Option } from './option.ts';
import { type PlanProblem, quoteValue } from './plan-error.ts';
import { findUnrecognized, type Given, isGroup } from './sources.ts';

/** A value that was checked, or everything that is wrong with it. */
export type Validated = { readonly value: unknown } | { readonly problems: readonly PlanProblem[] };

/** One entry of a list: each option's value, and what it was given as. */
export interface Entry {
  /** As in `repository.copies[1]`. */
  readonly at: string;
  readonly values: ReadonlyMap<Option, { readonly given: Given; readonly value: unknown }>;
}

/** Checks one value against its option; a list gives `Entry[]`. */
export function validate(option: Option, given: Given): Validated {
  if (option.entry !== null) return validateList(option, option.entry, given);
  const parsed = option.schema.safeParse(given.value);
  if (parsed.success) return { value: fromDirectory(option, parsed.data, given.directory) };
  const value = option.facts.secret === true ? null : quoteValue(given.value);
  return { problems: [problemWith(given, value, `Expected ${option.facts.expected}.`)] };
}

function problemWith(given: Pick<Given, 'at' | 'origin'>, value: string | null, sentence: string): PlanProblem {
  return { option: given.at, value, sentence, origin: given.origin };
}

function validateList(list: Option, options: readonly Option[], given: Given): Validated {
  const expected = `Expected ${list.facts.expected}.`;
  if (!Array.isArray(given.value)) return { problems: [problemWith(given, quoteValue(given.value), expected)] };
  const entries: Entry[] = [];
  const problems: PlanProblem[] = [];
  const taken = new Set<unknown>();
  for (const [index, found] of given.value.entries()) {
    const here = { ...given, at: `${given.at}[${index}]`, value: found as unknown };
    if (!isGroup(found)) {
      problems.push(problemWith(here, quoteValue(found), expected));
      continue;
    }
    const { entry, problems: own } = validateEntry(list, options, { ...here, value: found });
    entries.push(entry);
    problems.push(...own);
    const { uniqueBy } = list.facts;
    if (uniqueBy === undefined || found[uniqueBy] === undefined) continue;
    if (taken.has(found[uniqueBy])) {
      const twice = { ...here, at: `${here.at}.${uniqueBy}` };
      problems.push(problemWith(twice, quoteValue(found[uniqueBy]), `Expected a ${uniqueBy} that no other has.`));
    }
    taken.add(found[uniqueBy]);
  }
  return problems.length > 0 ? { problems } : { value: entries };
}

function validateEntry(
  list: Option,
  options: readonly Option[],
  given: Given & { readonly value: Readonly<Record<string, unknown>> },
): { entry: Entry; problems: PlanProblem[] } {
  const keys = options.map((option) => keyIn(list, option));
  const problems = findUnrecognized(given.value, { path: given.at, keys, facts: {} }, given.origin);
  const values = new Map<Option, { given: Given; value: unknown }>();
  for (const option of options) {
    const key = keyIn(list, option);
    const own = { ...given, at: `${given.at}.${key}`, value: given.value[key] };
    if (own.value === undefined) {
      if (option.isRequired) problems.push(problemWith(own, null, `Missing. Expected ${option.facts.expected}.`));
      continue;
    }
    const validated = validate(option, own);
    if ('value' in validated) values.set(option, { given: own, value: validated.value });
    else problems.push(...validated.problems);
  }
  return { entry: { at: given.at, values }, problems };
}

function keyIn(list: Option, option: Option): string {
  return option.path.slice(`${list.path}[].`.length);
}

/** A relative path means: from where it was written. A URL has no such beginning. */
export function fromDirectory({ facts }: Option, value: unknown, directory: string): unknown {
  if (facts.isPath !== true || typeof value !== 'string' || /^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return value;
  return resolve(directory, value);
}
