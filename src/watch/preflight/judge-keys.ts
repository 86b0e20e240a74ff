import type { SlotInfo } from '../../repository/index.ts';
import { advice, type Check, checksOf, quoteWord, shell } from './check.ts';
import type { KeysFacts } from './keys-facts.ts';

const { ok, unseen, warning, problem } = checksOf('keys');

/** Judges whether the repository opens, and whether it still will when something is lost. Pure. */
export function judgeKeys(facts: KeysFacts): Check[] {
  return [judgeOpening(facts), ...judgeSlots(facts), ...judgeSource(facts)];
}

function judgeOpening({ opening }: KeysFacts): Check {
  switch (opening.kind) {
    case 'unseen':
      return unseen('repository-opens', `Whether the repository opens could not be tried: ${opening.why}.`);
    case 'opened':
      return ok('repository-opens', 'The repository opens.');
    case 'refused':
      return problem('repository-opens', 'The repository does not open.', {
        found: opening.sentence,
        expected: 'a repository that this key opens',
        why: 'Without its key nothing in it can be read ever again, and nothing can be stored.',
        mends:
          opening.code === 'REPOSITORY_ABSENT' || opening.code === 'REPOSITORY_HALF_CREATED'
            ? [shell('holdfast repository init')]
            : opening.hints.map(advice),
      });
  }
}

function judgeSlots({ opening, source }: KeysFacts): Check[] {
  if (opening.kind !== 'opened')
    return [unseen('key-slots', 'How many keys open the repository could not be looked at.')];
  const { slots, damaged } = opening;
  const checks: Check[] = [];
  if (damaged.length > 0) {
    checks.push(
      problem('key-slots-damaged', 'A key slot of the repository cannot be read.', {
        found: damaged.join(', '),
        expected: 'slots that can be read',
        why: 'Whoever holds only that key is locked out.',
        mends: [advice('Put these objects back from a copy of the repository.')],
      }),
    );
  }
  checks.push(...judgeStates(slots));
  const opened = slots.filter(({ state }) => state === 'open' || state === 'old-form');
  if (opened.length > 1) return [...checks, ok('key-slots', `${opened.length} keys open the repository.`)];
  const what = 'file' in source ? `the file "${source.file.path}"` : 'it';
  checks.push(
    warning('key-slots', 'One single key opens the repository.', {
      found: '1 key slot',
      expected: 'a second key that is kept elsewhere, or a copy of this one',
      why: 'When this host is lost with its only key, every backup is lost with it.',
      mends: [
        shell('holdfast recovery-kit --with-key --out recovery-kit.html'),
        advice(`Or keep a copy of ${what} where the loss of this host cannot reach it.`),
      ],
    }),
  );
  return checks;
}

/** Slots that are not what people take them for. */
function judgeStates(slots: readonly SlotInfo[]): Check[] {
  const named = (state: SlotInfo['state']) =>
    slots.filter((slot) => slot.state === state).map(({ slot, label }) => `${slot.slice(0, 12)} ("${label}")`);
  const [foreign, behind, removed] = [named('foreign'), named('left-behind'), named('removed')];
  return [
    ...(foreign.length === 0
      ? []
      : [
          problem('key-slots-foreign', 'A key slot was made by somebody without the keys of this repository.', {
            found: foreign.join(', '),
            expected: 'slots that this repository has signed',
            why: 'It opens nothing, and whoever put it there can write to the store.',
            mends: [advice('Find out who can write to the store, and change the credentials for it.')],
          }),
        ]),
    ...(behind.length === 0
      ? []
      : [
          warning('key-slots-behind', 'A key lacks the newest epoch.', {
            found: behind.join(', '),
            expected: 'the newest epoch in every slot',
            why: 'It opens what was stored before and nothing that is stored now.',
            mends: [shell('holdfast keys rotate'), advice('Run it for each of them, or remove them.')],
          }),
        ]),
    ...(removed.length === 0
      ? []
      : [
          warning('key-slots-removed', 'A key slot that was removed is still there.', {
            found: removed.join(', '),
            expected: 'slots that are gone once they were removed',
            why: 'Its key can still open what was stored before the next epoch; whoever uses it will be locked out.',
            mends: [advice('Remove it again with the right to delete, when the lock of its objects has ended.')],
          }),
        ]),
  ];
}

function judgeSource({ source, repositoryDirectory }: KeysFacts): Check[] {
  switch (source.kind) {
    case 'none':
      return [unseen('key-source', 'No key was given.')];
    case 'passphrase':
      return [
        ok('key-source', 'The key is a passphrase; hosts on which nobody types are better served by a key file.'),
      ];
    case 'command':
      return [ok('key-source', 'The key is with a key service, which a command asks.')];
    case 'key-file':
    case 'age-identity':
    case 'passphrase-file': {
      const name = { 'key-file': 'key file', 'age-identity': 'age identity', 'passphrase-file': 'passphrase file' }[
        source.kind
      ];
      const { path, mode } = source.file;
      return [judgeFileMode(name, path, mode), judgeFilePlace(name, path, repositoryDirectory)];
    }
  }
}

function judgeFileMode(name: string, path: string, mode: number | null): Check {
  if (mode === null) return unseen('key-file-mode', `The ${name} "${path}" could not be looked at.`);
  if ((mode & 0o077) === 0) return ok('key-file-mode', `Only its owner can read the ${name} "${path}".`);
  return problem('key-file-mode', `Others can read the ${name} "${path}".`, {
    found: `mode ${(mode & 0o777).toString(8)}`,
    expected: 'mode 600',
    why: 'Whoever reads it can read every backup.',
    mends: [shell(`chmod 600 ${quoteWord(path)}`)],
  });
}

function judgeFilePlace(name: string, path: string, directory: string | null): Check {
  if (directory === null || !path.startsWith(`${directory}/`)) {
    return ok('key-file-place', `The ${name} does not lie in the repository.`);
  }
  return problem('key-file-place', `The ${name} lies in the repository that it opens.`, {
    found: path,
    expected: `a place outside "${directory}"`,
    why: 'Whoever gets the repository gets its key, and whoever loses one loses both.',
    mends: [advice(`Move "${path}" to another place, and name that with --key-file or HOLDFAST_KEY_FILE.`)],
  });
}
