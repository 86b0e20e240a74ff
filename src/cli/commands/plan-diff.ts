import { resolve } from 'node:path';
import { HoldfastError } from '../../lib/index.ts';
import type { PlanDifference, StatedOption } from '../../plan/index.ts';
import type { Command, CommandInput } from '../command.ts';
import type { Json, Paint } from '../output/index.ts';
import { requirePlanFile } from '../require-plan-file.ts';
import { statedJson, statedText } from '../stated-text.ts';

/** `holdfast plan diff`. */
export const planDiff: Command = {
  path: ['plan', 'diff'],
  summary: 'Say what the plan says differently from another file, or from a revision of git.',
  details: [
    'The other one comes first. Things with names are compared by name, whatever their order; what means the same (60m and 1h) is no difference.',
    'Environment variables are left aside. With --git, files that the plan imports by relative paths are those of the revision, too. Without --exit-code it ends with 0 also when there are differences.',
  ],
  examples: [
    { line: 'holdfast plan diff --git HEAD', does: 'What was changed since the last commit.' },
    { line: 'holdfast plan diff plans/before.json --plan plans/after.json', does: 'What one says and the other not.' },
  ],
  access: 'none',
  database: 'none',
  arguments: [{ name: '[other]', help: 'Another file with a plan.' }],
  flags: [
    { flag: '--git <revision>', help: 'The plan as it was in a commit, a branch or a tag, in place of another file.' },
    { flag: '--exit-code', help: 'End with 3 when there are differences.' },
  ],
  run: async ({ plan }, input) => {
    const { compareStated } = await import('../../plan/index.ts');
    const { readPlanAlone } = await import('../plan-world.ts');
    const file = requirePlanFile(plan);
    const before = await readOther(file, input);
    const after = await readPlanAlone(file);
    const differences = compareStated(before.stated, after.stated);
    return {
      reason: input.isSet('exit-code') && differences.length > 0 ? 'problemFound' : 'done',
      json: {
        ...{ before: before.document, after: file, same: differences.length === 0 },
        differences: differences.map((each) => ({
          ...{ option: each.path, before: sideDocument(each.before), after: sideDocument(each.after) },
        })),
      },
      text: (paint) =>
        differences.length === 0
          ? [`Both say the same: ${before.name} and ${file}.`]
          : [
              paint.faint(`from ${before.name}`),
              paint.faint(`to   ${file}`),
              '',
              ...differences.map((each) => differenceText(each, paint)),
            ],
    };
  },
};

async function readOther(
  file: string,
  input: CommandInput,
): Promise<{ name: string; document: Json; stated: readonly StatedOption[] }> {
  const [other, revision] = [input.optional('other'), input.optional('git')];
  if ((other === undefined) === (revision === undefined)) {
    throw new HoldfastError('USAGE_INVALID', 'expected another plan or a revision to compare with', {
      detail: `Expected one of them, found ${other === undefined ? 'neither' : 'both'}.`,
      hints: ['Name another file, or give --git with a revision such as HEAD.'],
    });
  }
  if (revision !== undefined) {
    const { readPlanAtRevision } = await import('../plan-at-revision.ts');
    const { plan, commit } = await readPlanAtRevision(file, revision);
    return { name: `${revision} (${commit.slice(0, 12)})`, document: { revision, commit }, stated: plan.stated };
  }
  const { readPlanAlone } = await import('../plan-world.ts');
  const path = resolve(other!);
  return { name: path, document: path, stated: (await readPlanAlone(path)).stated };
}

function sideDocument(side: StatedOption | null): Json {
  return side === null ? null : { value: statedJson(side), hidden: side.isHidden, default: side.origin === null };
}

function differenceText({ path, before, after }: PlanDifference, paint: Paint): string {
  const side = (stated: StatedOption) => `${statedText(stated)}${stated.origin === null ? ' (default)' : ''}`;
  if (before === null) return `${paint.good('+')} ${paint.strong(path)}: ${side(after!)}`;
  if (after === null) return `${paint.bad('-')} ${paint.strong(path)}: ${side(before)}`;
  return `${paint.warning('~')} ${paint.strong(path)}: ${side(before)} → ${side(after)}`;
}
