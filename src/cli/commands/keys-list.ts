import { formatMoment } from '../../lib/index.ts';
import type { Command } from '../command.ts';
import { kindWords, stateWords } from '../key-words.ts';
import { formatTable } from '../output/index.ts';

/** `holdfast keys list`. */
export const keysList: Command = {
  path: ['keys', 'list'],
  summary: 'List the keys that open the repository.',
  details: [
    'What a slot says of itself is proved only by opening it. The signing key is what all that is written is signed with; it never changes, and the recovery kit states it.',
  ],
  examples: [
    { line: 'holdfast keys list', does: 'The slots, what opens each, and whether they have the newest epoch.' },
  ],
  access: 'read',
  database: 'none',
  run: async ({ repository }) => {
    const { listSlots } = await import('../../repository/index.ts');
    const { slots, damaged } = await listSlots(repository);
    const { currentEpoch, publicKey } = repository.keys;
    const isWell = damaged.length === 0 && slots.every(({ state }) => state !== 'left-behind' && state !== 'foreign');
    return {
      ...(isWell ? {} : { reason: 'problemFound' as const }),
      json: {
        repository: repository.id,
        signingKey: publicKey.toString('hex'),
        epoch: currentEpoch,
        slots: slots.map((slot) => ({ ...slot, recipients: [...slot.recipients] })),
        damaged,
      },
      text: (paint) => [
        ...formatTable(
          [
            { head: 'SLOT' },
            { head: 'OPENED BY' },
            { head: 'LABEL' },
            { head: 'SINCE' },
            { head: 'EPOCH' },
            { head: '' },
          ],
          slots.map((slot) => [
            slot.slot.slice(0, 12),
            kindWords(slot.kind),
            slot.label,
            formatMoment(Date.parse(slot.createdAt)),
            String(slot.epoch ?? '–'),
            stateWords(slot, paint),
          ]),
          paint,
        ),
        ...damaged.map((name) => paint.bad(`"${name}" cannot be read.`)),
        '',
        `Epoch ${currentEpoch} seals what is written now. Signing key ${publicKey.toString('hex')}`,
      ],
    };
  },
};
