import { formatBytes, formatQuantity } from '../../lib/index.ts';
import type { ComparedObjects, CopyComparison, StorePlace } from '../../repository/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { comparedDocument } from '../copies-text.ts';
import { chooseCopies, openPlaceList } from '../open-places.ts';
import type { Paint } from '../output/index.ts';

/** `holdfast copies compare`. */
export const copiesCompare: Command = {
  path: ['copies', 'compare'],
  summary: 'Compare copies with the primary, object by object, and name what differs.',
  details: [
    'Names and sizes are compared; with --deep every byte is read in both places. Nothing is changed, and no key is needed.',
    'What only the copy has is told and is no difference: a deletion in the primary never reaches a copy.',
    'It ends with 3 when a copy lacks something or has other bytes.',
  ],
  examples: [
    { line: 'holdfast copies compare', does: 'Every copy, by names and sizes.' },
    { line: 'holdfast copies compare west --deep', does: 'Every byte of the copy "west".' },
  ],
  access: 'places',
  database: 'none',
  arguments: [{ name: '[name]', help: 'The copy. (default: all of them)' }],
  flags: [{ flag: '--deep', help: 'Read and compare every byte.' }],
  run: async (context, input) => {
    const chosen = chooseCopies(context.plan, input.optional('name'));
    const [primary, ...copies] = await openPlaceList(context.plan, context);
    const compared: CopyComparison[] = [];
    for (const copy of copies) {
      if (chosen.has(copy.name)) compared.push(await compare(context, primary!, copy, input.isSet('deep')));
    }
    const isSame = compared.every(({ missing, differing }) => missing.objects === 0 && differing.objects === 0);
    return {
      reason: isSame ? 'done' : 'problemFound',
      json: {
        same: isSame,
        deep: input.isSet('deep'),
        copies: compared.map(({ place, same, missing, differing, extra, lagMs }) => ({
          name: place,
          same: same.objects,
          missing: comparedDocument(missing),
          differing: comparedDocument(differing),
          extra: comparedDocument(extra),
          lagSeconds: lagMs / 1000,
        })),
      },
      text: (paint) => compared.flatMap((each) => comparisonText(each, paint)),
    };
  },
};

async function compare(
  { progress, signal }: CommandContext,
  primary: StorePlace,
  copy: StorePlace,
  deep: boolean,
): Promise<CopyComparison> {
  const { compareCopies } = await import('../../repository/index.ts');
  progress.begin(`comparing "${copy.name}"`, deep ? {} : { unit: 'objects' });
  return await compareCopies({
    ...{ primary: primary.store, copy, deep, signal },
    onObject: ({ bytes }) => progress.advance(deep ? bytes : 1),
  });
}

function comparisonText({ place, same, missing, differing, extra, isDeep }: CopyComparison, paint: Paint): string[] {
  const how = isDeep ? 'byte for byte' : 'by name and size';
  const isSame = missing.objects === 0 && differing.objects === 0;
  const all = `copy "${place}" has ${formatQuantity(same.objects, 'object')}, ${formatBytes(same.bytes)}, as the primary has them (${how})`;
  return [
    isSame ? `${paint.good('✓')} ${all}` : `${paint.warning('!')} ${all}`,
    ...named('lacks', missing, paint.bad('✗')),
    ...named('has other bytes of', differing, paint.bad('✗')),
    ...(extra.objects === 0
      ? []
      : [
          `  ${paint.faint(`besides it has ${formatQuantity(extra.objects, 'object')}, ${formatBytes(extra.bytes)}, that the primary does not have (any more)`)}`,
        ]),
  ];
}

function named(what: string, { objects, bytes, names }: ComparedObjects, mark: string): string[] {
  if (objects === 0) return [];
  const further = objects - names.length;
  return [
    `${mark} it ${what} ${formatQuantity(objects, 'object')}, ${formatBytes(bytes)}:`,
    ...names.map((name) => `    ${name}`),
    ...(further === 0 ? [] : [`    and ${further} more`]),
  ];
}
