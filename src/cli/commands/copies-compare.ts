import { formatBytes, formatQuantity, HoldfastError } from '../../lib/index.ts';
import type { ComparedObjects, CopyComparison, StorePlace } from '../../repository/index.ts';
import type { Command, CommandContext } from '../command.ts';
import { comparedDocument, failedCopyText, placeErrorDocument } from '../copies-text.ts';
import { exitReasonOf } from '../exit-code.ts';
import { chooseCopies, openPlaceList } from '../open-places.ts';
import type { Paint } from '../output/index.ts';
import { refusePrimaryAway } from '../refuse-primary-away.ts';

/** What became of one copy. */
type Compared = { readonly comparison: CopyComparison } | { readonly name: string; readonly error: HoldfastError };

/** `holdfast copies compare`. */
export const copiesCompare: Command = {
  path: ['copies', 'compare'],
  summary: 'Compare copies with the primary, object by object, and name what differs.',
  details: [
    'Names and sizes are compared; with --deep every byte is read in both places. Nothing is changed, and no key is needed.',
    'What only the copy has is told and is no difference: a deletion in the primary never reaches a copy.',
    'It ends with 3 when a copy lacks something or has other bytes, with 1 when one could not be compared, and with 4 when one is of another repository; the others are compared all the same.',
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
    await refusePrimaryAway('compare the copies', primary!.store);
    const all: Compared[] = [];
    for (const copy of copies) {
      if (chosen.has(copy.name)) all.push(await compare(context, primary!, copy, input.isSet('deep')));
    }
    const compared = all.flatMap((each) => ('comparison' in each ? [each.comparison] : []));
    const failed = all.flatMap((each) => ('error' in each ? [each] : []));
    // Where nothing else was asked for, it is the whole answer.
    if (all.length === 1 && failed[0] !== undefined) throw failed[0].error;
    const isSame =
      failed.length === 0 &&
      compared.every(({ missing, differing }) => missing.objects === 0 && differing.objects === 0);
    return {
      reason: failed[0] !== undefined ? exitReasonOf(failed[0].error) : isSame ? 'done' : 'problemFound',
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
        failed: failed.map(({ name, error }) => ({ name, error: placeErrorDocument(error) })),
      },
      text: (paint) =>
        all.flatMap((each) =>
          'comparison' in each ? comparisonText(each.comparison, paint) : failedCopyText(each.name, each.error, paint),
        ),
    };
  },
};

/** A copy that fails is part of the answer: what the others have is told all the same. */
async function compare(
  { progress, signal }: CommandContext,
  primary: StorePlace,
  copy: StorePlace,
  deep: boolean,
): Promise<Compared> {
  const { compareCopies } = await import('../../repository/index.ts');
  progress.begin(`comparing "${copy.name}"`, deep ? {} : { unit: 'objects' });
  try {
    const comparison = await compareCopies({
      ...{ primary: primary.store, copy, deep, signal },
      onObject: ({ bytes }) => progress.advance(deep ? bytes : 1),
    });
    return { comparison };
  } catch (error) {
    if (!(error instanceof HoldfastError) || signal.aborted) throw error;
    return { name: copy.name, error };
  }
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
