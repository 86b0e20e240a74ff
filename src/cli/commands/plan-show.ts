import type { ResolvedPlan, StatedOption } from '../../plan/index.ts';
import type { Command } from '../command.ts';
import { formatTable, type Paint } from '../output/index.ts';
import { statedJson, statedText } from '../stated-text.ts';

/** `holdfast plan show`. */
export const planShow: Command = {
  path: ['plan', 'show'],
  summary: 'Show what plan, environment and defaults come to: every value, and where it was read.',
  details: ['References are shown and not followed, and what may hold a secret is hidden.'],
  examples: [
    { line: 'holdfast plan show --given', does: 'Without the defaults.' },
    { line: 'holdfast plan show functions', does: 'One part of it.' },
  ],
  access: 'none',
  database: 'none',
  arguments: [{ name: '[option]', help: 'Only what stands below this option, as in "functions" or "wal.budget".' }],
  flags: [{ flag: '--given', help: 'Only what somebody gave.' }],
  run: async ({ plan }, input) => {
    const { lineOf } = await import('../../plan/index.ts');
    const below = input.optional('option');
    const isShown = ({ path, option, origin }: StatedOption) =>
      (origin !== null || !input.isSet('given')) &&
      (below === undefined || [path, option].some((each) => isBelow(each, below)));
    const line = ({ option, origin }: StatedOption) =>
      origin !== null && origin === plan.file ? lineOf(plan.lines, option) : null;
    const shown = plan.stated.filter(isShown).map((stated) => ({ stated, line: line(stated) }));
    return {
      json: {
        plan: plan.file,
        options: shown.map(({ stated, line }) => ({
          ...{ option: stated.path, at: stated.option, value: statedJson(stated), hidden: stated.isHidden },
          ...{ origin: stated.origin, line },
        })),
      },
      text: (paint) => [
        paint.strong(plan.file ?? 'No plan; from environment and defaults'),
        '',
        ...(shown.length === 0 ? ['Nothing is said of that.'] : optionTable(shown, plan, paint)),
      ],
    };
  },
};

interface ShownOption {
  readonly stated: StatedOption;
  readonly line: number | null;
}

function optionTable(shown: readonly ShownOption[], plan: ResolvedPlan, paint: Paint): string[] {
  return formatTable(
    [{ head: 'OPTION' }, { head: 'FROM' }, { head: 'VALUE' }],
    shown.map(({ stated, line }) => [
      stated.path,
      describeOrigin(stated, line, plan),
      stated.origin === null ? paint.faint(statedText(stated)) : paint.strong(statedText(stated)),
    ]),
    paint,
  );
}

function describeOrigin({ origin }: StatedOption, line: number | null, { file }: ResolvedPlan): string {
  if (origin === null) return 'default';
  if (origin !== file) return origin;
  return line === null ? 'plan' : `line ${line}`;
}

function isBelow(path: string, option: string): boolean {
  return path === option || path.startsWith(`${option}.`) || path.startsWith(`${option}[`);
}
