import type { PlacesStatus } from '../../watch/index.ts';
import type { Command } from '../command.ts';
import { describeParts, placesDocument, placesTable } from '../copies-text.ts';
import { findingDocument, findingText } from '../finding-text.ts';
import { openPlaceList, refuseWithoutCopies } from '../open-places.ts';
import { formatFacts, type Paint } from '../output/index.ts';

/** `holdfast copies status`. */
export const copiesStatus: Command = {
  path: ['copies', 'status'],
  summary: 'Say of each place of the repository whether it answers, what it holds, and how far behind it is.',
  details: [
    'Names and sizes of all that is stored are listed in every place and compared. No key is needed.',
    'It ends with 3 when anything is to be said: a copy that is away, more than a minute behind or differs, required or optional, or a primary that is away.',
  ],
  examples: [{ line: 'holdfast copies status', does: 'Every place, and what each copy lacks.' }],
  access: 'places',
  database: 'none',
  run: async (context) => {
    refuseWithoutCopies(context.plan);
    const { judgeCopies, readPlaces } = await import('../../watch/index.ts');
    const status = await readPlaces(await openPlaceList(context.plan, context, null), { signal: context.signal });
    const findings = judgeCopies(status);
    // Whoever asks about the copies wants to hear of every one of them; how much an optional one weighs is the business of holdfast status.
    const isWell = findings.length === 0;
    return {
      reason: isWell ? 'done' : 'problemFound',
      json: { well: isWell, ...placesDocument(status), findings: findings.map(findingDocument) },
      text: (paint) => [
        ...placesTable(status, paint),
        ...lackingText(status, paint),
        ...(findings.length === 0 ? [] : ['']),
        ...findings.flatMap((finding) => findingText(finding, paint)),
      ],
    };
  },
};

function lackingText({ copies }: PlacesStatus, paint: Paint): string[] {
  const lacking = copies.flatMap(({ name, comparison }): [string, string][] =>
    comparison === null || comparison.missing.objects === 0
      ? []
      : [[`${name} lacks`, describeParts(comparison.missing)]],
  );
  return lacking.length === 0 ? [] : ['', ...formatFacts(lacking, paint)];
}
