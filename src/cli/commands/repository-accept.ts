import { HoldfastError } from '../../lib/index.ts';
import type { Command } from '../command.ts';

/** `holdfast repository accept`. */
export const repositoryAccept: Command = {
  path: ['repository', 'accept'],
  summary: 'Say that another repository than before is meant at the address of the plan.',
  details: [
    'The state directory remembers which repository it has seen at each address, and nothing is written to another one: a disk may have been swapped, or a bucket replaced.',
    'Its id is typed in full, as REPOSITORY_OTHER and holdfast repository info tell it. The repository is not changed.',
    'The primary has to answer: what its copies hold says nothing about what is at its address.',
  ],
  access: 'read',
  readsPrimaryAlone: true,
  database: 'none',
  arguments: [{ name: 'id', help: 'The id of the repository that is there now: 32 hexadecimal digits.' }],
  run: async ({ repository, plan }, input) => {
    const id = input.required('id');
    if (id !== repository.id) throw notThere(id, repository.id);
    const { KnownPlaces } = await import('../../ledger/index.ts');
    const places = new KnownPlaces(plan.stateDirectory);
    const { location } = plan.repository.primary!;
    const before = await places.read(location);
    await places.replace(location, id);
    return {
      json: { repository: id, before },
      text: (paint) =>
        before === id
          ? ['There is nothing to accept: it is the one that was there before.']
          : [`${paint.warning('accepted')} repository ${id}${before === null ? '' : ` in the place of ${before}`}`],
    };
  },
};

function notThere(id: string, found: string): HoldfastError {
  return new HoldfastError('USAGE_INVALID', `cannot accept repository "${id}": it is not there`, {
    detail: `Expected the id of the repository that is at the address of the plan, which is ${found}.`,
    hints: ['Run `holdfast repository info` to see what there is.'],
  });
}
