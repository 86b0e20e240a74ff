import type { Command } from '../command.ts';
import { askToChangeKeys, yesFlag } from '../consent.ts';
import { leftLines, nameSlot, removalSentences } from '../key-words.ts';

/** `holdfast keys remove`. */
export const keysRemove: Command = {
  path: ['keys', 'remove'],
  summary: 'Remove a key of the repository.',
  details: removalSentences,
  examples: [{ line: 'holdfast keys remove host-2', does: 'Removes the key with this label.' }],
  access: 'write',
  database: 'none',
  arguments: [{ name: 'slot', help: 'The label of the key, or the beginning of the id of its slot.' }],
  flags: [yesFlag],
  run: async (context, input) => {
    const { repository, plan } = context;
    const { findSlot, removeKey } = await import('../../protect/keys/index.ts');
    const found = await findSlot(repository, input.required('slot'));
    const title = `Remove key slot ${nameSlot(found)}:`;
    if (!found.inUse) await askToChangeKeys(context, input, { title, sentences: removalSentences });
    const { left } = await removeKey({ repository, stateDirectory: plan.stateDirectory, slot: found.slot });
    return {
      json: { slot: found.slot, label: found.label, left: left.map((each) => ({ ...each })) },
      text: (paint) => [`${paint.good('removed')} key slot ${nameSlot(found)}`, ...leftLines(left, paint)],
    };
  },
};
