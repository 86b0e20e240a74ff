import type { Rule } from '../finding.ts';

/** What the plan says and this version does not do. */
export const declaredRules: readonly Rule[] = [
  {
    id: 'declared-only',
    severity: 'note',
    means: 'The plan declares something that this version does not carry out, or not all of it.',
    why: 'It is checked and told, and nothing is done by it yet.',
    settle: 'Nothing; but let something else do it meanwhile.',
    find: ({ declaredOnly }) =>
      declaredOnly.map(({ option, carriedOut }) => ({
        at: [option],
        says: `What "${option}" says is declared, and ${carriedOut === 'no' ? 'not carried out' : 'carried out in part only'} by this version.`,
      })),
  },
];
