import type { Command } from '../command.ts';
import { askToChangeKeys, yesFlag } from '../consent.ts';
import { epochSentences } from '../key-words.ts';

/** `holdfast keys new-epoch`. */
export const keysNewEpoch: Command = {
  path: ['keys', 'new-epoch'],
  summary: 'Seal what is stored from now on with a new key, and give it to every slot.',
  details: [
    'After a key was removed or lost: it protects what is stored from now on from whoever kept the old keys and can read the store.',
    'What is stored already stays readable with the old keys. No slot needs its passphrase or file for this.',
  ],
  examples: [{ line: 'holdfast keys new-epoch', does: 'Shows which keys will have it, and asks.' }],
  access: 'write',
  database: 'none',
  flags: [yesFlag],
  run: async (context, input) => {
    const { repository, plan } = context;
    const { renewEpoch } = await import('../../protect/keys/index.ts');
    const { proposeEpoch } = await import('../../repository/index.ts');
    const proposal = await proposeEpoch(repository);
    await askToChangeKeys(context, input, { title: 'Begin a new epoch:', sentences: epochSentences(proposal) });
    const { epoch, slots } = await renewEpoch({ repository, stateDirectory: plan.stateDirectory });
    return {
      json: { epoch, slots: [...slots] },
      text: (paint) => [
        `${paint.good('begun')} epoch ${paint.strong(String(epoch))}; ${slots.length} key slots have it`,
      ],
    };
  },
};
