import type { Command } from '../command.ts';
import { chooseNewKey, newKeyFlags } from '../new-key.ts';

/** `holdfast keys add`. */
export const keysAdd: Command = {
  path: ['keys', 'add'],
  summary: 'Let another key open the repository.',
  details: [
    'Whoever has it can read everything that is stored, and what will be. Without a flag that names the key, a new passphrase is asked for.',
    'Hosts on which nobody types are best served by a key file, and people by a passphrase or an age identity.',
  ],
  examples: [
    { line: 'holdfast keys add --generate-key-file ~/second.key --label host-2', does: 'A key file for another host.' },
    {
      line: 'holdfast keys add --age-recipient age1… --label anna',
      does: 'For somebody whose age identity is not here.',
    },
  ],
  access: 'write',
  database: 'none',
  flags: newKeyFlags,
  run: async (context, input) => {
    const { repository, plan } = context;
    const { addKey } = await import('../../protect/keys/index.ts');
    const { key, useFor, words } = await chooseNewKey(context, input);
    const label = input.optional('label') ?? '';
    const slot = await useFor(() => addKey({ repository, stateDirectory: plan.stateDirectory, key, label }));
    const proven = key.kind !== 'age-recipients';
    return {
      json: { slot, label, proven },
      text: (paint) => [
        `${paint.good('added')} key slot ${paint.strong(slot)}, opened by ${words}`,
        ...(proven
          ? []
          : [
              paint.warning(
                'Nobody has tried it yet: have each of them run `holdfast keys list --age-identity FILE` once.',
              ),
            ]),
      ],
    };
  },
};
