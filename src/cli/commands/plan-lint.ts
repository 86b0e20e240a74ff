import type { Command } from '../command.ts';
import { lintDocument, lintText } from '../lint-text.ts';
import { requirePlanFile } from '../require-plan-file.ts';

/** `holdfast plan lint`. */
export const planLint: Command = {
  path: ['plan', 'lint'],
  summary:
    'Say where the plan contradicts itself, leaves something out, or promises what its own numbers do not allow.',
  details: [
    'No server is asked, no secret is read, and nothing is changed. docs/plan-lint.md has every finding with what to do.',
    'It ends with 3 when there are errors that nobody accepted. Warnings, notes and accepted risks leave it at 0; a plan that cannot be read ends with 2.',
  ],
  examples: [
    { line: 'holdfast plan lint', does: 'Errors and warnings of ./holdfast.config.ts.' },
    { line: 'holdfast plan lint --all --plan plans/shop.json', does: 'The notes of another plan, too.' },
  ],
  access: 'none',
  database: 'none',
  flags: [{ flag: '--all', help: 'Show notes, too: what is declared, and not carried out by this version.' }],
  run: async ({ plan, clock }, input) => {
    const { lintPlan } = await import('../../plan/index.ts');
    const file = requirePlanFile(plan);
    const today = new Date(clock.now()).toISOString().slice(0, 10);
    const findings = lintPlan(plan, { today });
    const fails = findings.some(({ severity, accepted }) => severity === 'error' && accepted === null);
    return {
      reason: fails ? 'problemFound' : 'done',
      json: lintDocument(file, findings),
      text: (paint) => lintText(file, findings, input.isSet('all'), paint),
    };
  },
};
