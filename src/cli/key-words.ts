import type { EpochProposal, LeftObject, SlotInfo } from '../repository/index.ts';
import type { Paint } from './output/index.ts';

/** A kind of slot as people call what opens it. */
export function kindWords(kind: SlotInfo['kind']): string {
  return { passphrase: 'passphrase', 'key-file': 'key file', age: 'age', command: 'key command' }[kind];
}

/** A slot for a list in a sentence. */
export function nameSlot({ slot, kind, label }: Pick<SlotInfo, 'slot' | 'kind' | 'label'>): string {
  return `${slot.slice(0, 12)} (${kindWords(kind)}, "${label}")`;
}

export function stateWords({ state, inUse }: SlotInfo, paint: Paint): string {
  switch (state) {
    case 'open':
      return inUse ? paint.good('in use now') : '';
    case 'old-form':
      return paint.warning(`${inUse ? 'in use now, ' : ''}older form: rotate it before a new epoch`);
    case 'left-behind':
      return paint.bad('lacks the newest epoch');
    case 'removed':
      return paint.warning(`removed${inUse ? ', in use now' : ''}, still there`);
    case 'foreign':
      return paint.bad('not made by this repository');
  }
}

/** What removing a slot does not do (rule B3). */
export const removalSentences = [
  'Whoever has used this key may have kept the keys of the repository that it opened: for them nothing changes by this alone.',
  'Run `holdfast keys new-epoch` afterwards: what is stored from then on is sealed with a key that the removed one never had.',
  'What was stored before stays readable with the old keys, for ever. Only deleting it ends that.',
  'Where objects are locked, or may not be deleted, the slot itself stays there and can be opened with its key until the lock ends; copies and older versions in a bucket keep it, too.',
];

/** What a rotation does not do. */
export const rotationSentences = [
  'The new key is added and tried first; then the old slot is removed.',
  'This changes what opens the repository, not the keys that seal it: who had the old secret may have kept those. `holdfast keys new-epoch` draws a new one for what is stored from then on.',
  'Where objects are locked, or may not be deleted, the old slot stays there and can be opened with the old secret until the lock ends.',
];

/** What a new epoch does not do, and whom it reaches. */
export function epochSentences({ slots, removed, foreign }: EpochProposal): string[] {
  return [
    `These keys will open what is stored from now on: ${slots.map(nameSlot).join(', ')}.`,
    ...(removed.length === 0 ? [] : [`Removed, and given nothing: ${removed.map(nameSlot).join(', ')}.`]),
    ...(foreign.length === 0
      ? []
      : [
          `Not made by anybody with the keys of this repository, and given nothing: ${foreign.map(nameSlot).join(', ')}.`,
        ]),
    'Nothing that is stored is sealed again: it stays readable to whoever has the old keys.',
    'Chunks keep their identities, so that who had the old keys can still tell whether a content that they know is stored.',
    'Who has the old keys and may write to the store can still write what looks true; take that right from them in the store.',
    'What runs now goes on: `wal stream` takes the new epoch in by itself within minutes, a backup or restore that has begun ends with the old one.',
  ];
}

/** Lines about objects that could not be deleted. */
export function leftLines(left: readonly LeftObject[], paint: Paint): string[] {
  if (left.length === 0) return [];
  const places = [...new Set(left.map(({ place }) => place))].join(', ');
  return [
    paint.warning(`Its objects could not be deleted everywhere (${left.length} left in ${places}).`),
    'They are marked as removed and get no new epoch, but they can still be opened with the old key. Run `holdfast keys remove` with the whole id again when their lock has ended, the copy is whole again, or with the right to delete:',
    ...left.map(({ place, name }) => `  ${name} in ${place}`),
  ];
}
