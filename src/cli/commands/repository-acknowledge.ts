import { formatQuantity } from '../../lib/index.ts';
import type { Command } from '../command.ts';

/** `holdfast repository acknowledge`. */
export const repositoryAcknowledge: Command = {
  path: ['repository', 'acknowledge'],
  summary: 'Accept that a repository has lost or changed what its ledger had, after you have found out why.',
  details: [
    'Until then nothing is written to it. What was remembered is kept in the ledger, so that it can be compared later.',
  ],
  access: 'write',
  database: 'none',
  run: async ({ repository, plan }) => {
    const { acknowledgeRegressions } = await import('../../ledger/index.ts');
    const regressions = await acknowledgeRegressions(repository, plan.stateDirectory);
    return {
      json: {
        acknowledged: regressions.map(({ writer, remembered, found }) => ({
          ...{ writer, found },
          seq: remembered?.seq ?? null,
          sha256: remembered?.sha256 ?? null,
        })),
      },
      text: (paint) =>
        regressions.length === 0
          ? ['There is nothing to acknowledge: the ledger is what it was.']
          : [
              `${paint.warning('acknowledged')} ${formatQuantity(regressions.length, 'lost or changed chain')}`,
              ...regressions.map(
                ({ writer, remembered, found }) => `  writer ${writer}: entry ${remembered?.seq ?? '–'} is ${found}`,
              ),
            ],
    };
  },
};
