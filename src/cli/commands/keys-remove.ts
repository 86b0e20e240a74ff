import { codeOf } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { askToChangeKeys, yesFlag } from '../consent.ts';
import { leftLines, nameSlot, removalSentences } from '../key-words.ts';

const isWholeId = (name: string) => /^[0-9a-f]{32}$/.test(name);

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
    const name = input.required('slot');
    const found = await findSlot(repository, name).catch((error: unknown) => {
      // Removed before, and to be deleted where it was left.
      if (codeOf(error) === 'KEY_SLOT_ABSENT' && isWholeId(name)) return null;
      throw error;
    });
    const words = found === null ? name : nameSlot(found);
    if (found?.inUse !== true) {
      await askToChangeKeys(context, input, { title: `Remove key slot ${words}:`, sentences: removalSentences });
    }
    const slot = found?.slot ?? name;
    const { left } = await removeKey({ repository, stateDirectory: plan.stateDirectory, slot });
    return {
      json: { slot, label: found?.label ?? null, left: left.map((each) => ({ ...each })) },
      text: (paint) => [`${paint.good('removed')} key slot ${words}`, ...leftLines(left, paint)],
    };
  },
};
