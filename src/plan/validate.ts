import { resolve } from 'node:path';
import { z } from 'zod';
import {
  type CarriedOut,
  groupFacts,
  type Machine,
  type Option,
  type OptionFacts,
  optionFacts,
  type Structure,
  structureOf,
  unwrap,
} from './option.ts';
import { type PlanProblem, quoteValue } from './plan-error.ts';
import { isReference, type Reference } from './reference.ts';
import { findUnrecognized, type Given, isGroup } from './sources.ts';

/** What is learned of a plan while its values are checked one by one, and judged when all of them are known. */
export interface Survey {
  readonly machine: Machine;
  readonly problems: PlanProblem[];
  /** Names that were given, by what they are names of. */
  readonly names: Map<string, Set<string>>;
  /** Where something is called by such a name. */
  readonly mentions: Mention[];
  /** Where the plan says that a value lies somewhere else. */
  readonly references: { readonly reference: Reference; readonly given: Given }[];
  /** What the plan says although this version does not do it, or not all of it. */
  readonly declaredOnly: { readonly option: string; readonly carriedOut: CarriedOut }[];
}

export interface Mention {
  readonly name: string;
  readonly refersTo: readonly string[];
  readonly at: string;
  readonly origin: string;
}

/** Where a value stands, and how much of it is carried out so far. */
interface Place extends Pick<Given, 'at' | 'origin' | 'directory' | 'kind'> {
  readonly carriedOut: CarriedOut;
}

/** What a value comes to when something is wrong with it. What is wrong stands in the survey. */
export const INVALID = Symbol('invalid');

/** Checks a value and all that is in it. What was left out becomes its default, or `null`. */
export function validate(option: Option, given: Given, survey: Survey): unknown {
  return validateValue(option.schema, option.facts, given.value, { ...given, carriedOut: 'yes' }, survey);
}

/** What an option comes to when nobody gives it. */
export function valueLeftOut(declared: z.ZodType, machine: Machine): unknown {
  const { schema } = unwrap(declared);
  const { default: byDefault } = optionFacts.get(schema) ?? {};
  if (byDefault !== undefined) return schema.parse(byDefault.value(machine));
  const structure = structureOf(schema);
  if (structure?.form === 'map') return {};
  if (declared instanceof z.ZodPrefault && schema instanceof z.ZodArray) return [];
  if (structure?.form !== 'group' || !(declared instanceof z.ZodPrefault)) return null;
  const { shape } = structure.group;
  return Object.fromEntries(Object.entries(shape).map(([key, inner]) => [key, valueLeftOut(inner, machine)]));
}

function validateValue(schema: z.ZodType, facts: OptionFacts, value: unknown, place: Place, survey: Survey): unknown {
  const here = noteCarriedOut(facts, place, survey);
  const structure = structureOf(schema);
  if (structure !== null) return validateStructure(structure, facts, value, here, survey);
  const parsed = schema.safeParse(value);
  if (!parsed.success) return refuse(facts, value, here, survey, false);
  noteMentions(facts, parsed.data, here, survey);
  if (here.kind === 'plan') noteReferences(parsed.data, { ...here, value }, survey);
  return facts.isPath === true && typeof parsed.data === 'string'
    ? fromDirectory(parsed.data, here.directory)
    : parsed.data;
}

function noteCarriedOut({ carriedOut }: OptionFacts, place: Place, survey: Survey): Place {
  if (carriedOut === undefined || carriedOut === place.carriedOut) return place;
  if (carriedOut !== 'yes' && place.kind === 'plan') survey.declaredOnly.push({ option: place.at, carriedOut });
  return { ...place, carriedOut };
}

function refuse(facts: OptionFacts, value: unknown, place: Place, survey: Survey, isPart = true): typeof INVALID {
  // A whole part may hold anything, also what should be hidden.
  const isHidden = facts.secret === true || (isPart && typeof value === 'object');
  const quoted = isHidden ? null : quoteValue(value);
  survey.problems.push(problemAt(place, quoted, `Expected ${facts.expected}.`));
  return INVALID;
}

function problemAt({ at, origin }: Pick<Place, 'at' | 'origin'>, value: string | null, sentence: string): PlanProblem {
  return { option: at, value, sentence, origin };
}

function validateStructure(
  { form, group }: Structure,
  facts: OptionFacts,
  value: unknown,
  place: Place,
  survey: Survey,
): unknown {
  if (form === 'list')
    return Array.isArray(value)
      ? validateList(group, facts, value, place, survey)
      : refuse(facts, value, place, survey);
  if (!isGroup(value)) return refuse(facts, value, place, survey);
  return form === 'group'
    ? validateGroup(group, value, place, survey)
    : validateMap(group, facts, value, place, survey);
}

function validateList(
  group: z.ZodObject,
  facts: OptionFacts,
  found: readonly unknown[],
  place: Place,
  survey: Survey,
): unknown {
  const taken = new Set<unknown>();
  const entries = found.map((value, index) => {
    const here = { ...place, at: `${place.at}[${index}]` };
    if (!isGroup(value)) return refuse(facts, value, here, survey);
    const entry = validateGroup(group, value, here, survey);
    if (facts.names === undefined || typeof value.name !== 'string') return entry;
    if (taken.has(value.name)) {
      const sentence = `Expected a name that no other ${facts.names} has.`;
      survey.problems.push(problemAt({ ...here, at: `${here.at}.name` }, quoteValue(value.name), sentence));
    }
    taken.add(value.name);
    noteName(facts.names, value.name, survey);
    return entry;
  });
  return entries.includes(INVALID) ? INVALID : entries;
}

function noteName(kind: string, name: string, { names }: Survey): void {
  const known = names.get(kind);
  if (known === undefined) names.set(kind, new Set([name]));
  else known.add(name);
}

function validateMap(
  group: z.ZodObject,
  facts: OptionFacts,
  found: Readonly<Record<string, unknown>>,
  place: Place,
  survey: Survey,
): unknown {
  noteMentions(facts, Object.keys(found), place, survey);
  const entries = Object.entries(found).map(([name, value]) => {
    const here = { ...place, at: `${place.at}.${name}` };
    return [name, isGroup(value) ? validateGroup(group, value, here, survey) : refuse(facts, value, here, survey)];
  });
  return entries.some(([, value]) => value === INVALID) ? INVALID : Object.fromEntries(entries);
}

function validateGroup(
  group: z.ZodObject,
  found: Readonly<Record<string, unknown>>,
  place: Place,
  survey: Survey,
): unknown {
  const about = groupFacts.get(group) ?? {};
  const keys = Object.keys(group.shape);
  survey.problems.push(...findUnrecognized(found, { path: place.at, keys, facts: about }, place.origin));
  const values = Object.entries(group.shape).map(([key, declared]) => [
    key,
    validateKey(declared, found[key], { ...place, at: `${place.at}.${key}` }, survey),
  ]);
  if (values.some(([, value]) => value === INVALID)) return INVALID;
  const entry = Object.fromEntries(values) as Record<string, unknown>;
  const sentence = about.check?.(entry) ?? null;
  if (sentence === null) return entry;
  survey.problems.push(problemAt(place, null, sentence));
  return INVALID;
}

function validateKey(declared: z.ZodType, value: unknown, place: Place, survey: Survey): unknown {
  const { schema, isRequired } = unwrap(declared);
  const facts = optionFacts.get(schema)!;
  if (value !== undefined) return validateValue(schema, facts, value, place, survey);
  if (!isRequired) return valueLeftOut(declared, survey.machine);
  survey.problems.push(problemAt(place, null, `Missing. Expected ${facts.expected}.`));
  return INVALID;
}

/** Names are looked up when all of the plan was read, as they may be given further below. */
function noteMentions({ refersTo }: OptionFacts, value: unknown, { at, origin }: Place, survey: Survey): void {
  if (refersTo === undefined) return;
  if (typeof value === 'string') survey.mentions.push({ name: value, refersTo, at, origin });
  else if (Array.isArray(value)) {
    for (const name of value) survey.mentions.push({ name: String(name), refersTo, at, origin });
  }
}

/** Also those inside of a value, such as the parts of what opens a store. */
function noteReferences(value: unknown, given: Given, survey: Survey): void {
  if (isReference(value)) survey.references.push({ reference: value, given });
  else if (isGroup(value)) {
    for (const [key, inner] of Object.entries(value)) {
      noteReferences(inner, { ...given, at: `${given.at}.${key}` }, survey);
    }
  }
}

/** A relative path means: from where it was written. A URL has no such beginning. */
export function fromDirectory(path: string, directory: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(path) ? path : resolve(directory, path);
}
