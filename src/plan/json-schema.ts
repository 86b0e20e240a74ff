import { z } from 'zod';
import { optionFacts } from './option.ts';
import { reference } from './reference.ts';
import { planSchema } from './schema/index.ts';

/**
 * What a plan may say, as a JSON Schema (2020-12), for editors and other tools. It cannot tell all: that names have to be declared, the ranges of durations, and
 * what has to stand together are looked at when a plan is read.
 */
export function planJsonSchema(): Record<string, unknown> {
  const { $schema, ...plan } = toJson(planSchema);
  const { $schema: _, ...references } = toJson(reference());
  const shorter = shareReferences(plan, JSON.stringify(references)) as Record<string, unknown>;
  return { $schema, title: 'A plan of Holdfast', ...shorter, $defs: { reference: references } };
}

function toJson(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const facts = optionFacts.get(zodSchema as unknown as z.ZodType);
      if (facts === undefined) return;
      const byDefault = facts.default === undefined ? '' : ` Default: ${facts.default.text}.`;
      jsonSchema.description = `${facts.help} Expected: ${facts.expected}.${byDefault}`;
    },
  });
}

/** The three forms of a reference stand in dozens of places; told once, the rest can be read. */
function shareReferences(node: unknown, reference: string): unknown {
  if (Array.isArray(node)) return node.map((each) => shareReferences(each, reference));
  if (typeof node !== 'object' || node === null) return node;
  const { description, ...rest } = node as Record<string, unknown>;
  if (JSON.stringify(rest) === reference) {
    return { ...(description === undefined ? {} : { description }), $ref: '#/$defs/reference' };
  }
  return Object.fromEntries(Object.entries(node).map(([key, each]) => [key, shareReferences(each, reference)]));
}
