import { type PlanProblem, quoteValue } from './plan-error.ts';
import { nearest } from './sources.ts';
import type { Mention, Survey } from './validate.ts';

/** Names by which a plan calls something that nowhere in it has that name. */
export function findUnknownNames({ names, mentions }: Survey): PlanProblem[] {
  return mentions.flatMap((mention) => {
    const known = mention.refersTo.flatMap((kind) => [...(names.get(kind) ?? [])]);
    if (known.includes(mention.name)) return [];
    const { at: option, origin } = mention;
    return [{ option, value: quoteValue(mention.name), sentence: whatIsKnown(mention, known), origin }];
  });
}

function whatIsKnown({ name, refersTo }: Mention, known: readonly string[]): string {
  const kinds = refersTo.join(' or a ');
  if (known.length === 0) return `Expected the name of a ${kinds}, of which this plan has none.`;
  const near = nearest(name, known);
  if (near !== null) return `Expected the name of a ${kinds} in this plan. Did you mean "${near}"?`;
  return `Expected the name of a ${kinds} in this plan: ${known.map((each) => `"${each}"`).join(', ')}.`;
}
