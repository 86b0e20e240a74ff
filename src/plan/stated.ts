import { z } from 'zod';
import { type Machine, type Option, optionFacts, structureOf, unwrap } from './option.ts';
import { quoteValue } from './plan-error.ts';
import { isReference } from './reference.ts';
import { type Given, isGroup } from './sources.ts';

/** One value that somebody gave, or that is a default: as a plan would write it, and never a secret. */
export interface StatedOption {
  /** With the names of what stands in lists, as in `functions.registry-access.rto`. */
  readonly path: string;
  /** With their places, as in `functions[1].rto`. */
  readonly option: string;
  /** As JSON has it; references are shown, and not followed. `null` for what must not be shown. */
  readonly value: unknown;
  readonly isHidden: boolean;
  /** Where it was read; `null` for a default. */
  readonly origin: string | null;
  /** The same for two values that mean the same, such as `60m` and `1h`. It may hold what must not be shown. */
  readonly meaning: string;
}

interface Here {
  readonly path: string;
  readonly option: string;
  readonly origin: string | null;
  readonly machine: Machine;
}

/** All that one option comes to, value by value, in the order in which they are declared. `given` is `null` when nobody gave it. */
export function listStated({ path, schema }: Option, given: Given | null, machine: Machine): StatedOption[] {
  const here = { path, option: given?.at ?? path, origin: given?.origin ?? null, machine };
  return given === null ? listLeftOut(schema, here, true) : listValue(schema, given.value, here);
}

function listValue(schema: z.ZodType, value: unknown, here: Here): StatedOption[] {
  const structure = structureOf(schema);
  if (structure?.form === 'list' && Array.isArray(value)) {
    const hasNames = optionFacts.get(schema)?.names !== undefined;
    return value.flatMap((entry: unknown, index) => {
      const path = hasNames && isGroup(entry) ? `${here.path}.${entry.name}` : `${here.path}[${index}]`;
      return listGroup(structure.group, entry, { ...here, path, option: `${here.option}[${index}]` });
    });
  }
  if (structure?.form === 'map' && isGroup(value)) {
    return Object.entries(value).flatMap(([name, entry]) => listGroup(structure.group, entry, inside(here, name)));
  }
  if (structure?.form === 'group') return listGroup(structure.group, value, here);
  // Settings of a server are looked at one by one, although their names are not ours.
  if (schema instanceof z.ZodRecord && isGroup(value)) {
    const inner = schema.valueType as z.ZodType;
    return Object.entries(value).map(([name, each]) => toStated(inner, each, inside(here, name)));
  }
  return [toStated(schema, value, here)];
}

function listGroup(group: z.ZodObject, value: unknown, here: Here): StatedOption[] {
  return Object.entries(group.shape).flatMap(([key, declared]) => {
    const { schema } = unwrap(declared as z.ZodType);
    const inner = isGroup(value) ? value[key] : undefined;
    return inner === undefined
      ? listLeftOut(schema, inside(here, key), declared instanceof z.ZodPrefault)
      : listValue(schema, inner, inside(here, key));
  });
}

/** Defaults; those inside of a group only where the group is there without being given. */
function listLeftOut(schema: z.ZodType, here: Here, isFilled: boolean): StatedOption[] {
  const inDefault = { ...here, origin: null };
  const { default: byDefault } = optionFacts.get(schema) ?? {};
  if (byDefault !== undefined) return [toStated(schema, byDefault.value(here.machine), inDefault)];
  const structure = structureOf(schema);
  return structure?.form === 'group' && isFilled ? listGroup(structure.group, {}, inDefault) : [];
}

function inside(here: Here, key: string): Here {
  return { ...here, path: `${here.path}.${key}`, option: `${here.option}.${key}` };
}

function toStated(schema: z.ZodType, value: unknown, { path, option, origin }: Here): StatedOption {
  const { secret = false, isPath = false } = optionFacts.get(schema) ?? {};
  const isHidden = (secret && !isReferenced(value)) || quoteValue(value) === null;
  const parsed = isPath || isReference(value) ? undefined : schema.safeParse(value);
  const meaning = JSON.stringify(parsed?.success === true ? parsed.data : value);
  return { path, option, value: isHidden ? null : value, isHidden, origin, meaning };
}

/** Whether nothing of a value is the secret itself. */
function isReferenced(value: unknown): boolean {
  return isReference(value) || (isGroup(value) && Object.values(value).every((part) => isReference(part)));
}
