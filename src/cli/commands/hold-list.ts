import { formatMoment } from '../../lib/index.ts';
import type { Hold } from '../../repository/index.ts';
import type { Command } from '../command.ts';
import { describeScope, holdDocument } from '../hold-words.ts';
import { formatTable, shortId } from '../output/index.ts';

/** `holdfast hold list`. */
export const holdList: Command = {
  path: ['hold', 'list'],
  summary: 'List the holds: who keeps what, why, and until when.',
  details: ['Exit code 3 when a hold cannot be read, or one is no longer there: then nothing is forgotten.'],
  examples: [{ line: 'holdfast hold list --all', does: 'Also those that are over.' }],
  access: 'read',
  database: 'none',
  flags: [{ flag: '--all', help: 'Also the holds that are over.' }],
  run: async ({ repository, plan }, input) => {
    const { isHoldInForce, listHolds } = await import('../../repository/index.ts');
    const { findHiddenHolds } = await import('../../ledger/index.ts');
    const list = await listHolds(repository);
    const hidden = await findHiddenHolds(repository, plan.stateDirectory, list);
    const now = await repository.store.now();
    const shown = list.holds.filter((hold) => input.isSet('all') || isHoldInForce(hold, now));
    return {
      reason: hidden.length === 0 && list.unreadable.length === 0 ? 'done' : 'problemFound',
      json: {
        holds: shown.map((hold) => holdDocument(hold, isHoldInForce(hold, now))),
        unreadable: list.unreadable.map(({ name, error }) => ({ object: name, message: error.message })),
        hidden: hidden.map((each) => ({ ...each })),
      },
      text: (paint) => [
        ...(shown.length === 0
          ? ['Nothing is held.']
          : formatTable(
              [
                { head: 'HOLD' },
                { head: 'KEEPS' },
                { head: 'WHO' },
                { head: 'WHY' },
                { head: 'SINCE' },
                { head: 'UNTIL' },
              ],
              shown.map((hold) => [
                paint.strong(shortId(hold.id)),
                describeScope(hold.scope),
                hold.who,
                hold.why,
                formatMoment(hold.at),
                describeEnd(hold, now),
              ]),
              paint,
            )),
        ...list.unreadable.map(({ error }) => paint.bad(error.message)),
        ...hidden.map(({ hold, knownFrom }) =>
          paint.bad(
            `Hold ${hold} is no longer there, though ${knownFrom === 'ledger' ? 'the ledger names it' : 'this host saw it'}: end it by \`holdfast hold remove\` with its whole id once you know why.`,
          ),
        ),
      ],
    };
  },
};

function describeEnd({ until, ended }: Hold, now: number): string {
  if (ended !== null) return `ended ${formatMoment(ended.at)} by ${ended.who}: ${ended.why}`;
  if (until === null) return 'it is removed';
  return until > now ? formatMoment(until) : `${formatMoment(until)}, which is over`;
}
