import { codeOf } from '../../lib/index.ts';
import type { Hold } from '../../repository/index.ts';
import type { Command } from '../command.ts';
import { askConsent, yesFlag } from '../consent.ts';
import { describeScope, ownName, whoFlag } from '../hold-words.ts';
import { shortId } from '../output/index.ts';

const isWholeId = (digits: string) => /^[0-9a-f]{64}$/.test(digits);

const sentences = [
  'What it kept is judged by the rules of retention from then on, and by other holds.',
  'That there was a hold, who placed it and who ended it stays on record.',
];

/** `holdfast hold remove`. */
export const holdRemove: Command = {
  path: ['hold', 'remove'],
  summary: 'End a hold.',
  details: sentences,
  examples: [{ line: 'holdfast hold remove 0c7d51 --why audit-closed', does: 'Ends it, and says why.' }],
  access: 'write',
  database: 'none',
  arguments: [{ name: 'hold', help: 'The beginning of the id of the hold.' }],
  flags: [{ flag: '--why <reason>', help: 'Why it is over.', required: true }, whoFlag, yesFlag],
  run: async (context, input) => {
    const { repository, plan } = context;
    const { listHolds } = await import('../../repository/index.ts');
    const { findHold, removeHold } = await import('../../protect/retention/index.ts');
    const digits = input.required('hold');
    const list = await listHolds(repository);
    const find = (): Hold | null => {
      try {
        return findHold(list, digits);
      } catch (error) {
        // One that the store shows no more is ended by its whole id.
        if (codeOf(error) === 'HOLD_ABSENT' && isWholeId(digits)) return null;
        throw error;
      }
    };
    const found = find();
    const hold = found?.id ?? digits;
    const words = `${shortId(hold)}${found === null ? ', which is not there' : `, by which ${found.who} keeps ${describeScope(found.scope)} (${found.why})`}`;
    const code = 'HOLD_NOT_CONFIRMED';
    const refusal = { code, message: `did not end hold "${shortId(hold)}": nobody agreed` };
    await askConsent(context, input, { title: `End hold ${words}:`, sentences, refusal });
    const who = input.optional('who') ?? ownName();
    const why = input.required('why');
    if (found?.ended == null) await removeHold({ repository, stateDirectory: plan.stateDirectory, hold, who, why });
    return {
      json: { hold, known: found !== null },
      text: (paint) => [`${paint.good('ended')} hold ${words}`],
    };
  },
};
