import type { Command } from '../command.ts';
import { askToChangeKeys, yesFlag } from '../consent.ts';
import { leftLines, nameSlot, rotationSentences } from '../key-words.ts';
import { chooseNewKey, newKeyFlags } from '../new-key.ts';

/** `holdfast keys rotate`. */
export const keysRotate: Command = {
  path: ['keys', 'rotate'],
  summary: 'Put a new passphrase, key file, age recipient or key command in the place of one.',
  details: rotationSentences,
  examples: [
    {
      line: 'holdfast keys rotate --generate-key-file ~/new.key',
      does: 'A new key file in the place of the key that is used now.',
    },
  ],
  access: 'write',
  database: 'none',
  arguments: [
    {
      name: '[slot]',
      help: 'The label of the old key, or the beginning of the id of its slot; the one in use when left out.',
    },
  ],
  flags: [...newKeyFlags, yesFlag],
  run: async (context, input) => {
    const { repository, plan } = context;
    const { findSlot, rotateKey } = await import('../../protect/keys/index.ts');
    const old = await findSlot(repository, input.optional('slot') ?? repository.slot);
    const { key, useFor, words } = await chooseNewKey(context, input);
    await askToChangeKeys(context, input, { title: `Rotate key slot ${nameSlot(old)}:`, sentences: rotationSentences });
    const label = input.optional('label') ?? old.label;
    const { stateDirectory } = plan;
    const { slot, left } = await useFor(() => rotateKey({ repository, stateDirectory, slot: old.slot, key, label }));
    return {
      json: { slot, label, replaces: old.slot, left: left.map((each) => ({ ...each })) },
      text: (paint) => [
        `${paint.good('rotated')} key slot ${nameSlot(old)}: now ${paint.strong(slot)}, opened by ${words}`,
        ...(old.inUse ? ['What runs with the old key goes on until it is started again; give it the new one.'] : []),
        ...leftLines(left, paint),
      ],
    };
  },
};
