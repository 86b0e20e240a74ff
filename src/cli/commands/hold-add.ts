import { formatMoment, formatQuantity, HoldfastError } from '../../lib/index.ts';
import type { HoldScope } from '../../repository/index.ts';
import { chooseCluster } from '../cluster.ts';
import type { Command, CommandContext, CommandInput } from '../command.ts';
import { describeScope, ownName, parseUntil, whoFlag } from '../hold-words.ts';
import { shortId } from '../output/index.ts';

/** `holdfast hold add`. */
export const holdAdd: Command = {
  path: ['hold', 'add'],
  summary: 'Keep snapshots from being forgotten, whatever the rules of retention say.',
  details: [
    'It names snapshots, the whole of a cluster with its WAL, or everything. It lasts until a date, or until `holdfast hold remove`.',
    'Nothing that was forgotten before comes back by it; what it came too late for is named, with exit code 3.',
  ],
  examples: [
    {
      line: 'holdfast hold add 495644fd18b9 --why court-order-17-C-231 --until 2033-12-31',
      does: 'Keeps one snapshot through that day.',
    },
    {
      line: 'holdfast hold add --whole-cluster --why audit-of-2026',
      does: 'Keeps all of a cluster until further notice.',
    },
  ],
  access: 'write',
  database: 'none',
  planOptions: ['cluster.name'],
  arguments: [{ name: '[snapshot...]', help: 'The beginnings of the ids of the snapshots to keep.' }],
  flags: [
    { flag: '--whole-cluster', help: 'Keep all snapshots of the cluster, those to come among them, and all its WAL.' },
    { flag: '--everything', help: 'Keep all that is in the repository, and what comes.' },
    { flag: '--why <reason>', help: 'Why, for whoever asks in some years.', required: true },
    whoFlag,
    { flag: '--until <date>', help: 'The last day, in UTC, or a time with its zone.' },
  ],
  run: async (context, input) => {
    const { repository, plan } = context;
    const scope = await readScope(context, input);
    const now = await repository.store.now();
    const given = input.optional('until');
    const until = given === undefined ? null : parseUntil(given, now);
    const who = input.optional('who') ?? ownName();
    const hold = { who, why: input.required('why'), until, purpose: 'legal' as const, scope };
    const { addHold } = await import('../../protect/retention/index.ts');
    const { id, tooLate } = await addHold({ repository, stateDirectory: plan.stateDirectory, hold });
    return {
      reason: tooLate.length === 0 ? 'done' : 'problemFound',
      json: { hold: id, until: until === null ? null : new Date(until).toISOString(), scope: { ...scope }, tooLate },
      text: (paint) => [
        `${paint.good('held')} ${describeScope(scope)} ${until === null ? 'until the hold is removed' : `until ${formatMoment(until)}`}: hold ${paint.strong(shortId(id))}`,
        ...(tooLate.length === 0
          ? []
          : [
              paint.bad(
                `It came too late for ${formatQuantity(tooLate.length, 'snapshot')}, gone or announced to go: ${tooLate.map(shortId).join(', ')}.`,
              ),
            ]),
      ],
    };
  },
};

/** What is to be kept: one of the three that can be named. */
async function readScope(context: CommandContext, input: CommandInput): Promise<HoldScope> {
  const named = input.all('snapshot');
  const wishes = [named.length > 0, input.isSet('whole-cluster'), input.isSet('everything')].filter(Boolean);
  if (wishes.length !== 1) {
    throw new HoldfastError('USAGE_INVALID', 'cannot tell what to hold', {
      detail: `Expected snapshots, --whole-cluster or --everything, found ${wishes.length === 0 ? 'none of them' : 'more than one of them'}.`,
      hints: ['Run `holdfast list` to see the snapshots.'],
    });
  }
  if (input.isSet('everything')) return { kind: 'everything' };
  if (input.isSet('whole-cluster')) return { kind: 'cluster', cluster: await chooseCluster(context, 'hold') };
  const snapshots = [];
  for (const digits of named) snapshots.push((await context.repository.findSnapshot(digits)).id);
  return { kind: 'snapshots', snapshots: [...new Set(snapshots)] };
}
